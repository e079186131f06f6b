'use strict';
// A gateway with sub-devices made with the official SDK, unmodified. Its configuration is the first argument, as
// JSON. Sub-devices are named by their DeviceName.

const { gateway: connect } = require('alibabacloud-iot-device-sdk');
const { commands, emit } = require('./lines');

const gateway = connect(JSON.parse(process.argv[2]));
const subs = {};

for (const name of ['connect', 'close', 'reconnect', 'offline']) {
  gateway.on(name, () => emit(name));
}
gateway.on('error', (err) => emit('error', { error: String(err) }));
gateway.on('message', (topic, payload) => emit('message', { topic, payload: payload.toString() }));
gateway.mqttClient.on('packetreceive', (packet) => {
  if (packet.cmd === 'suback') emit('suback', { granted: packet.granted });
});

const reply = (to) => (reply) => emit('reply', { to, reply });

commands({
  addTopo: ({ devices }) => gateway.addTopo(devices, reply('addTopo')),
  getTopo: () => gateway.getTopo(reply('getTopo')),
  removeTopo: ({ devices }) => gateway.removeTopo(devices, reply('removeTopo')),
  registerSub: ({ devices }) => gateway.regiestSubDevice(devices, reply('registerSub')),
  login: ({ device }) => {
    const name = device.deviceName;
    const sub = gateway.login(device, reply('login'));
    subs[name] = sub;
    sub.on('connect', () => emit('subConnect', { name }));
    sub.on('error', (resp) => emit('subError', { name, resp }));
    sub.onProps((message) => {
      emit('props', { name, message });
      sub.publish(sub.model.ONSET_PROPS_TOPIC + '_reply', JSON.stringify({ id: message.id, code: 200, data: {} }));
    });
  },
  logout: ({ device }) => gateway.logout(device, reply('logout')),
  service: ({ sub, name, type, data }) => {
    subs[sub].onService(name, (message, answer) => {
      emit('service', { sub, name, message });
      answer({ id: message.id, code: 200, data }, type);
    });
    emit('listening', { sub, name });
  },
  postProps: ({ sub, params }) => subs[sub].postProps(params, reply('postProps')),
  postEvent: ({ sub, name, params }) => subs[sub].postEvent(name, params, reply('postEvent')),
  postTags: ({ sub, tags }) => subs[sub].postTags(tags, reply('postTags')),
  deleteTags: ({ sub, keys }) => subs[sub].deleteTags(keys, reply('deleteTags')),
  subscribe: ({ sub, topic }) => subs[sub].subscribe(topic, { qos: 1 }),
  ownProps: ({ params }) => gateway.postProps(params, reply('ownProps')),
});
