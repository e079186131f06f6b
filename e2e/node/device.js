'use strict';
// A device made with the official SDK, unmodified. Its configuration is the first argument, as JSON.

const { device: connect } = require('alibabacloud-iot-device-sdk');
const { commands, emit } = require('./lines');

const device = connect(JSON.parse(process.argv[2]));

for (const name of ['connect', 'close', 'reconnect', 'offline']) {
  device.on(name, () => emit(name));
}
device.on('error', (err) => emit('error', { error: String(err) }));
device.on('message', (topic, payload) => emit('message', { topic, payload: payload.toString() }));
device.mqttClient.on('packetreceive', (packet) => {
  if (packet.cmd === 'connack') emit('connack', { sessionPresent: packet.sessionPresent });
  if (packet.cmd === 'suback') emit('suback', { granted: packet.granted });
});

// A property set is answered the way the SDK's users do: its library does not.
device.onProps((message) => {
  emit('props', { message });
  const topic = device.model.ONSET_PROPS_TOPIC + '_reply';
  device.publish(topic, JSON.stringify({ id: message.id, code: 200, data: {} }));
});

device.onShadow((message) => emit('shadow', { message }));
device.onConfig((message) => {
  emit('config', { message });
  device.publish(device.model.CONFIG_SUBSCRIBE_RESP_TOPIC, JSON.stringify({ id: message.id, code: 200, data: {} }));
});

commands({
  getConfig: () => device.getConfig((reply) => emit('reply', { to: 'getConfig', reply })),
  getShadow: () => device.getShadow(),
  postShadow: ({ reported }) => device.postShadow(reported),
  deleteShadow: ({ keys }) => device.deleteShadow(keys),
  // service registers a listener that answers with data; type is "async" or "sync".
  service: ({ name, type, data }) => {
    device.onService(name, (message, reply) => {
      emit('service', { name, message });
      reply({ id: message.id, code: 200, data }, type);
    });
    emit('listening', { name });
  },
  postProps: ({ params }) => device.postProps(params, (reply) => emit('reply', { to: 'postProps', reply })),
  postEvent: ({ name, params }) => device.postEvent(name, params, (reply) => emit('reply', { to: 'postEvent', reply })),
  postTags: ({ tags }) => device.postTags(tags, (reply) => emit('reply', { to: 'postTags', reply })),
  deleteTags: ({ keys }) => device.deleteTags(keys, (reply) => emit('reply', { to: 'deleteTags', reply })),
  subscribe: ({ topic }) => device.subscribe(topic, { qos: 1 }),
  publish: ({ topic, payload }) => device.publish(topic, payload, { qos: 1 }, (err) => emit('published', { topic, error: err ? String(err) : '' })),
});
