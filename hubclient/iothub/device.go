package iothub

// Device is a device identity as the service API shows it.
type Device struct {
	DeviceID                   string         `json:"deviceId"`
	GenerationID               string         `json:"generationId,omitempty"`
	ETag                       ETag           `json:"etag,omitempty"`
	ConnectionState            string         `json:"connectionState,omitempty"`
	Status                     string         `json:"status,omitempty"`
	StatusReason               string         `json:"statusReason,omitempty"`
	ConnectionStateUpdatedTime Time           `json:"connectionStateUpdatedTime"`
	StatusUpdatedTime          Time           `json:"statusUpdatedTime"`
	LastActivityTime           Time           `json:"lastActivityTime"`
	CloudToDeviceMessageCount  int            `json:"cloudToDeviceMessageCount"`
	Authentication             Authentication `json:"authentication"`
	Capabilities               Capabilities   `json:"capabilities"`
	DeviceScope                string         `json:"deviceScope,omitempty"`
	ParentScopes               []string       `json:"parentScopes,omitempty"`
}

// Module is a module identity as the service API shows it. It has no status of
// its own: its device's counts.
type Module struct {
	ModuleID                   string         `json:"moduleId"`
	ManagedBy                  string         `json:"managedBy"`
	DeviceID                   string         `json:"deviceId"`
	GenerationID               string         `json:"generationId,omitempty"`
	ETag                       ETag           `json:"etag,omitempty"`
	ConnectionState            string         `json:"connectionState,omitempty"`
	ConnectionStateUpdatedTime Time           `json:"connectionStateUpdatedTime"`
	LastActivityTime           Time           `json:"lastActivityTime"`
	CloudToDeviceMessageCount  int            `json:"cloudToDeviceMessageCount"`
	Authentication             Authentication `json:"authentication"`
}

// Authentication says how an identity signs in. Type is sas, selfSigned,
// certificateAuthority or none.
type Authentication struct {
	SymmetricKey   SymmetricKey   `json:"symmetricKey"`
	X509Thumbprint X509Thumbprint `json:"x509Thumbprint"`
	Type           string         `json:"type,omitempty"`
}

// SymmetricKey holds two keys in base64, both valid. Empty keys in a request
// ask the hub to make new ones.
type SymmetricKey struct {
	Primary   string `json:"primaryKey"`
	Secondary string `json:"secondaryKey"`
}

// MarshalJSON writes a key that is not there as null, as the service shows the
// keys of identities that sign in otherwise. In a request, null asks for new keys
// as "" does.
func (k SymmetricKey) MarshalJSON() ([]byte, error) {
	return EncodeJSON(map[string]any{"primaryKey": orNull(k.Primary), "secondaryKey": orNull(k.Secondary)})
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// PurgeResult says how many cloud-to-device messages were thrown away.
type PurgeResult struct {
	DeviceID string  `json:"deviceId"`
	ModuleID *string `json:"moduleId"` // null: messages belong to devices
	Total    int     `json:"totalMessagesPurged"`
}

// RegistryStatistics counts the identities of a hub.
type RegistryStatistics struct {
	Total    int `json:"totalDeviceCount"`
	Enabled  int `json:"enabledDeviceCount"`
	Disabled int `json:"disabledDeviceCount"`
}

// ServiceStatistics counts connected devices.
type ServiceStatistics struct {
	Connected int `json:"connectedDeviceCount"`
}
