package iothub

// MaxBulk is how many identities one bulk request may name (IoT Hub service API,
// bulk registry operations).
const MaxBulk = 100

// ImportMode says what to do with one identity of a bulk request. SDKs differ in
// the case of its letters.
type ImportMode string

// The import modes. Those with IfMatchETag ask for the etag of the identity, or
// of the twin.
const (
	ImportCreate                ImportMode = "create"
	ImportCreateOrUpdate        ImportMode = "createOrUpdate"
	ImportCreateOrUpdateIfMatch ImportMode = "createOrUpdateIfMatchETag"
	ImportUpdate                ImportMode = "update"
	ImportUpdateIfMatch         ImportMode = "updateIfMatchETag"
	ImportDelete                ImportMode = "delete"
	ImportDeleteIfMatch         ImportMode = "deleteIfMatchETag"
	ImportUpdateTwin            ImportMode = "updateTwin"
	ImportUpdateTwinIfMatch     ImportMode = "updateTwinIfMatchETag"
)

// ImportModes lists all modes.
var ImportModes = []ImportMode{
	ImportCreate, ImportCreateOrUpdate, ImportCreateOrUpdateIfMatch, ImportUpdate, ImportUpdateIfMatch,
	ImportDelete, ImportDeleteIfMatch, ImportUpdateTwin, ImportUpdateTwinIfMatch,
}

// BulkResult answers a bulk request.
type BulkResult struct {
	Successful bool          `json:"isSuccessful"`
	Errors     []BulkError   `json:"errors"`
	Warnings   []BulkWarning `json:"warnings"`
}

// BulkError says why one identity of a bulk request was left as it is.
type BulkError struct {
	DeviceID    string     `json:"deviceId"`
	ModuleID    string     `json:"moduleId,omitempty"`
	ErrorCode   string     `json:"errorCode"` // a name, for example DeviceNotFound
	ErrorStatus string     `json:"errorStatus"`
	Operation   ImportMode `json:"operation,omitempty"`
}

// BulkWarning is for an identity that was registered without its twin.
type BulkWarning struct {
	DeviceID      string `json:"deviceId"`
	WarningCode   string `json:"warningCode"`
	WarningStatus string `json:"warningStatus"`
}
