'use strict';
// Dynamic registration with the official SDK, unmodified. Its configuration is the first argument, as JSON.

const { register } = require('alibabacloud-iot-device-sdk');
const { commands, emit } = require('./lines');

commands({});
register(JSON.parse(process.argv[2]), (reply) => emit('registered', { reply }));
