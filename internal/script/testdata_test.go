package script

// sample is the script of the protocol's frames: type, id, then values (spec/thing-model.md §14).
const sample = `
var METHOD = 'thing.event.property.post';
function rawDataToProtocol(bytes) {
  var data = new DataView(new Uint8Array(bytes).buffer), out = {};
  var id = String(data.getUint32(1));
  if (bytes[0] === 0) {
    return {method: METHOD, version: '1.0', id: id, params: {
      prop_int16: data.getInt16(5), prop_bool: data.getUint8(7), prop_float: data.getFloat32(8)}};
  }
  if (bytes[0] === 3) return {code: bytes[5] === 200 ? '200' : String(bytes[5]), data: {}, id: id, version: '1.0'};
  return out;
}
function protocolToRawData(json) {
  var head = function (type) { var id = Number(json.id); return [type, id >>> 24 & 255, id >>> 16 & 255, id >>> 8 & 255, id & 255]; };
  if (json.code !== undefined) return head(2).concat([json.code & 255]);
  if (json.method === 'thing.service.property.set') {
    var v = new DataView(new ArrayBuffer(7));
    v.setInt16(0, json.params.prop_int16); v.setUint8(2, json.params.prop_bool); v.setFloat32(3, json.params.prop_float);
    return head(1).concat(Array.from(new Uint8Array(v.buffer)));
  }
}
function transformPayload(topic, bytes) { return {topic: topic, sum: bytes.reduce(function (a, b) { return a + b; }, 0)}; }
`
