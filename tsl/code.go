package tsl

// Codes of spec/thing-model.md §15–16 that a thing model can cause. They are
// plain numbers because they travel in the "code" field of Alink replies and of
// forwarded messages.
const (
	CodeParams        = 460  // params empty or of the wrong shape
	CodeTooManyInPost = 6106 // more than 200 properties in one post
	CodeNoService     = 6206 // service not defined
	CodeNoInput       = 6302 // required service input missing
	CodeUnknownParam  = 6304 // identifier not in the model, or not in the struct
	CodeInt           = 6306 // int: type, range or step
	CodeFloat         = 6307 // float: type, range or step
	CodeBool          = 6308 // bool: not 0 or 1
	CodeEnum          = 6309 // enum: not an integer, or not a member
	CodeText          = 6310 // text: not a string, or too long
	CodeDate          = 6311 // date: not UTC milliseconds
	CodeStruct        = 6312 // struct: not an object, or a member is missing
	CodeNotDefined    = 6320 // property or event not defined for the device
	CodeNoIdentifier  = 6321 // identifier empty
	CodeDouble        = 6322 // double: type, range or step
	CodeArray         = 6324 // array: too many elements
	CodeArrayItem     = 6325 // array: an element has another type
	CodeTime          = 6326 // "time" is not UTC milliseconds, or lies in the future
	CodeNotArray      = 6328 // array expected, something else found
	CodeNotFitting    = 6332 // params do not fit the model, such as setting a read-only property
)
