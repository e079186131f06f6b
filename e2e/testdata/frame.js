// The sample of the protocol's documentation: a frame is a type, an id and values (spec/thing-model.md §14).
var METHOD = 'thing.event.property.post';

function view(bytes) {
  return new DataView(new Uint8Array(bytes).buffer);
}

function rawDataToProtocol(bytes) {
  var data = view(bytes);
  if (bytes[0] === 0) {
    return {method: METHOD, version: '1.0', id: String(data.getUint32(1)), params: {
      prop_int16: data.getInt16(5), prop_bool: data.getUint8(7), prop_float: data.getFloat32(8)}};
  }
  if (bytes[0] === 3) return {code: '200', data: {}, id: String(data.getUint32(1)), version: '1.0'};
  if (bytes[0] === 0xF0) { for (;;) {} }
  if (bytes[0] === 0xF1) throw new Error('no such frame');
  if (bytes[0] === 0xF2) return {id: '1', params: {}};
  if (bytes[0] === 0xF3) return {method: 'thing.service.property.set', id: '1', params: {}};
  if (bytes[0] === 0xF4) return {method: 'thing.property.desired.get', id: '77', params: ['prop_bool']};
}

function protocolToRawData(json) {
  var id = Number(json.id);
  var head = [0, id >>> 24 & 255, id >>> 16 & 255, id >>> 8 & 255, id & 255];
  if (json.code !== undefined) {
    head[0] = 2;
    return head.concat([json.code === 200 ? 200 : 255]);
  }
  head[0] = 1;
  var data = new DataView(new ArrayBuffer(7));
  data.setInt16(0, json.params.prop_int16 || 0);
  data.setUint8(2, json.params.prop_bool || 0);
  data.setFloat32(3, json.params.prop_float || 0);
  return head.concat(Array.from(new Uint8Array(data.buffer)));
}

function transformPayload(topic, bytes) {
  if (bytes.length === 0) throw new Error('nothing there');
  return {topic: topic, first: bytes[0]};
}
