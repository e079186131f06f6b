package alink

import "strconv"

// Code is the number that says how a request went, in the replies of both sides and in the cloud's logs
// (spec/thing-model.md §16, spec/gateway.md §12).
type Code int

// Codes from CodeDeviceFirst to CodeDeviceLast belong to devices: their replies to services may use them
// for meanings of their own.
const (
	CodeDeviceFirst Code = 100000
	CodeDeviceLast  Code = 110000
)

// General codes.
const (
	CodeSuccess            Code = 200
	CodeFailed             Code = 400
	CodeUnauthorized       Code = 401
	CodeForbidden          Code = 403
	CodeNotFound           Code = 404
	CodeTooManyRequests    Code = 429
	CodeParameter          Code = 460
	CodeServer             Code = 500
	CodeBusy               Code = 503
	CodeProductQuery       Code = 5005
	CodeLoRaMeta           Code = 5244
	CodeDeviceNotFound     Code = 6100
	CodeTopicUnparsable    Code = 6203
	CodeDeviceDisabled     Code = 6204
	CodeProductNotFound    Code = 6250
	CodeMethodMissingAfter Code = 6450 // after the product's script
	CodeThrottled          Code = 6452
	CodeSystem             Code = 6760
)

// Codes of the product's script.
const (
	CodeScriptMissing      Code = 6200
	CodeScriptEmptyResult  Code = 6201
	CodeScriptEmpty        Code = 26001
	CodeScriptFailed       Code = 26002
	CodeScriptNoFunction   Code = 26006
	CodeScriptResultFormat Code = 26007
	CodeScriptThrottled    Code = 26010
)

// Codes of the thing model.
const (
	CodePropertyLookup      Code = 5159
	CodeEventLookup         Code = 5160
	CodeServiceLookup       Code = 5161
	CodeTooManyDesired      Code = 6104
	CodeTooManyProperties   Code = 6106
	CodeDownlinkChannel     Code = 6205
	CodeServiceUndefined    Code = 6206
	CodeNotJSON             Code = 6207
	CodeDownlinkDisabled    Code = 6208
	CodeMethodMissing       Code = 6300
	CodeArrayExpected       Code = 6301
	CodeInputMissing        Code = 6302
	CodeParamNotExist       Code = 6304
	CodeInvalidInt          Code = 6306
	CodeInvalidFloat        Code = 6307
	CodeInvalidBool         Code = 6308
	CodeInvalidEnum         Code = 6309
	CodeInvalidText         Code = 6310
	CodeInvalidDate         Code = 6311
	CodeInvalidStruct       Code = 6312
	CodeModelQuery          Code = 6313
	CodeModelParse          Code = 6314
	CodeModelService        Code = 6316
	CodeModelIncomplete     Code = 6317
	CodeModelData           Code = 6318
	CodePropertyUndefined   Code = 6320
	CodeIdentifierEmpty     Code = 6321
	CodeInvalidDouble       Code = 6322
	CodeModelSystem         Code = 6323
	CodeInvalidArray        Code = 6324
	CodeInvalidArrayElement Code = 6325
	CodeInvalidTime         Code = 6326
	CodeNotArray            Code = 6328
	CodeModelInternal       Code = 6329
	CodeParamsMismatch      Code = 6332
	CodeTooManyEvents       Code = 6356
	CodeTooManySubDevices   Code = 6357
	CodeDesiredQuery        Code = 6661
	CodeTopicIllegal        Code = 6813
	CodeNotAlink            Code = 6831
)

// Codes of registration, topology and sub-device sessions.
const (
	CodeKicked              Code = 427
	CodeTooManyOnline       Code = 428
	CodeNoSession           Code = 520
	CodeDeviceDeleted       Code = 521
	CodeDeviceForbidden     Code = 522
	CodeDeviceNameInvalid   Code = 6280
	CodeInvalidSign         Code = 6287
	CodeRegisterOff         Code = 6288
	CodeAlreadyActive       Code = 6289
	CodeSignMethodUnknown   Code = 6292
	CodeTopologyFull        Code = 6400
	CodeNoTopology          Code = 6401
	CodeTopologySelf        Code = 6402
	CodeRegisterSignInvalid Code = 6600
	CodeBoundElsewhere      Code = 6619
)

// Codes of firmware update, remote configuration and device logs.
const (
	CodeNoConfig       Code = 6710
	CodeConfigOff      Code = 6713
	CodeConfigGetType  Code = 6717
	CodeConfigScope    Code = 6718
	CodeOTADeviceWrong Code = 9112
)

// Codes of file uploads over MQTT, by the names of the C SDK's header (spec/services.md §9).
const (
	CodeFileTooLarge    Code = 78117 // more than 16 MB
	CodeBlockTooLarge   Code = 78118 // more than 128 KB
	CodeBlockOffset     Code = 78119 // not where the bytes stored end
	CodeBlockTooSmall   Code = 78120 // less than 256 bytes, and not the last
	CodeBlockChecksum   Code = 78121 // the device sends it again
	CodeUploadNotFound  Code = 78122 // the device begins anew
	CodeFileExists      Code = 78123
	CodeUploadFinished  Code = 78124
	CodeFileChecksum    Code = 78125
	CodeBlockRepeated   Code = 78126
	CodeUploadThrottled Code = 78127
)

// Codes of deliveries to devices, in logs and API replies.
const (
	CodeDeliveryFailed Code = 1901 // 1902 to 1905, 1950 and 1951 as well, each for another stage
	CodeNotActivated   Code = 9200
	CodeOffline        Code = 9201
	CodeNotAuthorized  Code = 9236
	CodeRuleFailed     Code = 9320 // 9321, 9324, 9331 to 9333 and 9399 as well
	CodeProductError   Code = 9600
)

var codeTexts = map[Code]string{
	CodeSuccess:            "success",
	CodeFailed:             "request error",
	CodeUnauthorized:       "request auth error",
	CodeForbidden:          "request forbidden",
	CodeNotFound:           "service not found",
	CodeTooManyRequests:    "too many requests",
	CodeParameter:          "request parameter error",
	CodeServer:             "server error",
	CodeBusy:               "server busy",
	CodeProductQuery:       "query product failed",
	CodeLoRaMeta:           "query LoRaWAN product meta data failed",
	CodeDeviceNotFound:     "device not found",
	CodeTopicUnparsable:    "topic parse failed",
	CodeDeviceDisabled:     "device disabled",
	CodeProductNotFound:    "product not found",
	CodeMethodMissingAfter: "script result: method is missing",
	CodeThrottled:          "request throttled",
	CodeSystem:             "system error",

	CodeScriptMissing:      "script not found",
	CodeScriptEmptyResult:  "script returned nothing",
	CodeScriptEmpty:        "script is empty",
	CodeScriptFailed:       "script failed",
	CodeScriptNoFunction:   "script lacks the required functions",
	CodeScriptResultFormat: "script result has the wrong format",
	CodeScriptThrottled:    "script throttled",

	CodePropertyLookup:      "query property definition failed",
	CodeEventLookup:         "query event definition failed",
	CodeServiceLookup:       "query service definition failed",
	CodeTooManyDesired:      "params too much",
	CodeTooManyProperties:   "params too much",
	CodeDownlinkChannel:     "downlink channel error",
	CodeServiceUndefined:    "service not defined",
	CodeNotJSON:             "message is not JSON",
	CodeDownlinkDisabled:    "device disabled",
	CodeMethodMissing:       "method is missing",
	CodeArrayExpected:       "tsl parse: array expected",
	CodeInputMissing:        "tsl parse: required input missing",
	CodeParamNotExist:       "tsl parse: params not exist",
	CodeInvalidInt:          "tsl parse: invalid int value",
	CodeInvalidFloat:        "tsl parse: invalid float value",
	CodeInvalidBool:         "tsl parse: invalid bool value",
	CodeInvalidEnum:         "tsl parse: invalid enum value",
	CodeInvalidText:         "tsl parse: invalid text value",
	CodeInvalidDate:         "tsl parse: invalid date value",
	CodeInvalidStruct:       "tsl parse: invalid struct value",
	CodeModelQuery:          "tsl: system error",
	CodeModelParse:          "tsl: system error",
	CodeModelService:        "tsl: system error",
	CodeModelIncomplete:     "tsl: definition incomplete",
	CodeModelData:           "tsl: system error",
	CodePropertyUndefined:   "tsl parse: property not defined",
	CodeIdentifierEmpty:     "tsl parse: identifier is empty",
	CodeInvalidDouble:       "tsl parse: invalid double value",
	CodeModelSystem:         "tsl: system error",
	CodeInvalidArray:        "tsl parse: invalid array value",
	CodeInvalidArrayElement: "tsl parse: invalid array element",
	CodeInvalidTime:         "tsl parse: invalid time",
	CodeNotArray:            "tsl parse: value is not an array",
	CodeModelInternal:       "tsl: system error",
	CodeParamsMismatch:      "tsl parse: params do not fit the model",
	CodeTooManyEvents:       "too many events",
	CodeTooManySubDevices:   "too many sub-devices",
	CodeDesiredQuery:        "query desired values failed",
	CodeTopicIllegal:        "topic illegal",
	CodeNotAlink:            "not an alink message",

	CodeKicked:              "device connect in elsewhere",
	CodeTooManyOnline:       "too many subdevices under gateway",
	CodeNoSession:           "device no session",
	CodeDeviceDeleted:       "device deleted",
	CodeDeviceForbidden:     "device forbidden",
	CodeDeviceNameInvalid:   "device name invalid",
	CodeInvalidSign:         "invalid sign",
	CodeRegisterOff:         "dynamic registration is off",
	CodeAlreadyActive:       "device already activated",
	CodeSignMethodUnknown:   "sign method not supported",
	CodeTopologyFull:        "too many sub-devices",
	CodeNoTopology:          "topo relation not exist",
	CodeTopologySelf:        "a gateway cannot be its own sub-device",
	CodeRegisterSignInvalid: "invalid sign",
	CodeBoundElsewhere:      "device is bound to another gateway",

	CodeNoConfig:       "no configuration",
	CodeConfigOff:      "remote configuration is off",
	CodeConfigGetType:  "getType must be content",
	CodeConfigScope:    "configScope must be device",
	CodeOTADeviceWrong: "device not found",

	CodeFileTooLarge:    "file size has exceeded the limit 16 MB",
	CodeBlockTooLarge:   "block size has exceeded the limit 128 KB",
	CodeBlockOffset:     "block offset is not the size of what is stored",
	CodeBlockTooSmall:   "block size is less than 256 bytes",
	CodeBlockChecksum:   "block checksum failed",
	CodeUploadNotFound:  "upload not found",
	CodeFileExists:      "file exists already",
	CodeUploadFinished:  "upload is finished",
	CodeFileChecksum:    "file checksum failed",
	CodeBlockRepeated:   "block is stored already",
	CodeUploadThrottled: "upload throttled",

	CodeDeliveryFailed: "delivery failed",
	1902:               "delivery failed",
	1903:               "delivery failed",
	1904:               "delivery failed",
	1905:               "delivery failed",
	1950:               "delivery failed",
	1951:               "delivery failed",
	CodeNotActivated:   "device not activated",
	CodeOffline:        "device offline",
	CodeNotAuthorized:  "topic not authorized",
	CodeRuleFailed:     "rule, script or publish failed",
	9321:               "rule, script or publish failed",
	9324:               "rule, script or publish failed",
	9331:               "rule, script or publish failed",
	9332:               "rule, script or publish failed",
	9333:               "rule, script or publish failed",
	9399:               "rule, script or publish failed",
	CodeProductError:   "product error",
}

// Message returns the text that goes with the code in a reply, "" for a code without one. Clients compare
// "success" at most; the other texts are for people.
func (c Code) Message() string { return codeTexts[c] }

// String returns "200 success", or the number alone.
func (c Code) String() string {
	if text := codeTexts[c]; text != "" {
		return strconv.Itoa(int(c)) + " " + text
	}
	return strconv.Itoa(int(c))
}

// FromDevice tells whether the code's meaning was given by the device's maker.
func (c Code) FromDevice() bool { return c >= CodeDeviceFirst && c <= CodeDeviceLast }
