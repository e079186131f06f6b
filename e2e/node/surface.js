'use strict';
// The whole public surface of the official SDK, unmodified: a command calls one method of a device, a gateway or a
// sub-device, and "surface" says which methods there are and which were called. No argument.

const EventEmitter = require('events');
const iot = require('alibabacloud-iot-device-sdk');
const kinds = {
  Device: require('alibabacloud-iot-device-sdk/lib/device'),
  Gateway: require('alibabacloud-iot-device-sdk/lib/gateway'),
  SubDevice: require('alibabacloud-iot-device-sdk/lib/subdevice'),
};
const { commands, emit } = require('./lines');

const called = new Set();
const things = {};

// Public is what does not begin with an underscore, as in the SDK's own documentation.
function surface() {
  const names = Object.keys(iot).map((name) => 'iot.' + name);
  for (const [kind, type] of Object.entries(kinds)) {
    for (let p = type.prototype; p !== EventEmitter.prototype; p = Object.getPrototypeOf(p)) {
      names.push(...Object.getOwnPropertyNames(p).filter((n) => n !== 'constructor' && n[0] !== '_').map((n) => kind + '.' + n));
    }
  }
  return [...new Set(names)].sort();
}

function take(kind, thing) {
  things[kind] = thing;
  for (const name of ['connect', 'error', 'message', 'close']) {
    thing.on(name, (a, b) => emit(name, name === 'message' ? { kind, topic: a, payload: b.toString() } : { kind, detail: a instanceof Error ? String(a) : undefined }));
  }
}

commands({
  // open makes a device or a gateway; its sub-devices come from login.
  open: ({ kind, config }) => {
    const make = kind.toLowerCase();
    called.add('iot.' + make);
    take(kind, iot[make](config));
  },
  login: ({ device }) => {
    called.add('Gateway.login');
    take('SubDevice', things.Gateway.login(device, (reply) => emit('reply', { kind: 'Gateway', method: 'login', reply })));
  },
  register: ({ config }) => {
    called.add('iot.register');
    iot.register(config, (reply) => emit('reply', { kind: 'iot', method: 'register', reply }));
  },
  // call calls a method: with reply its callback is the last argument, with listen its listener, which answers a
  // service with answer.
  call: ({ kind, method, args = [], reply, listen, answer }) => {
    called.add(kind + '.' + method);
    if (reply) args.push((r, granted) => emit('reply', { kind, method, reply: r, granted }));
    if (listen) {
      args.push((message, respond) => {
        emit('heard', { kind, method, message });
        if (answer) respond({ id: message.id, code: 200, data: answer.data }, answer.type);
      });
    }
    things[kind][method](...args);
    emit('called', { kind, method });
  },
  get: ({ kind, name }) => {
    called.add(kind + '.' + name);
    const value = (kind === 'iot' ? iot : things[kind])[name];
    emit('got', { kind, name, type: typeof value, value: typeof value === 'object' ? undefined : value });
  },
  surface: () => emit('surface', { methods: surface(), called: [...called] }),
});
