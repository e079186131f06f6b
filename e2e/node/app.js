'use strict';
// An application on MQTT.js, unmodified. Arguments: the URL of the server, and the options of mqtt.connect.

const fs = require('fs');
const mqtt = require('mqtt');
const { commands, emit } = require('./lines');

const options = JSON.parse(process.argv[3]);
if (options.caFile) options.ca = fs.readFileSync(options.caFile);

const client = mqtt.connect(JSON.parse(process.argv[2]), options);

// Correlation data is text here.
const shown = (properties) => Object.assign({}, properties, properties && properties.correlationData && { correlationData: properties.correlationData.toString() });

client.on('connect', (ack) => emit('connect', { sessionPresent: ack.sessionPresent, properties: ack.properties || {} }));
client.on('message', (topic, payload, packet) => emit('message', {
  topic, payload: payload.toString(), qos: packet.qos, retain: packet.retain, dup: packet.dup, properties: shown(packet.properties),
}));
client.on('disconnect', (packet) => emit('disconnect', { reasonCode: packet.reasonCode }));
client.on('close', () => emit('close'));
client.on('error', (err) => emit('error', { error: String(err), code: err.code }));

const fate = (err) => (err ? String(err) : '');

commands({
  subscribe: ({ topic, options }) => client.subscribe(topic, options, (err, granted) => {
    emit('subscribed', { topic, error: fate(err), granted: (granted || []).map((g) => g.qos) });
  }),
  unsubscribe: ({ topic }) => client.unsubscribe(topic, (err) => emit('unsubscribed', { topic, error: fate(err) })),
  publish: ({ topic, payload, options }) => {
    const properties = options && options.properties;
    if (properties && properties.correlationData) properties.correlationData = Buffer.from(properties.correlationData);
    client.publish(topic, payload, options, (err, packet) => {
      emit('published', { topic, payload, error: fate(err), reasonCode: packet ? packet.reasonCode : undefined });
    });
  },
  // bye disconnects properly.
  bye: () => client.end(false, () => emit('ended')),
});
