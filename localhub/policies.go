package localhub

// permission is a set of rights (IoT Hub documentation: control access).
type permission uint8

// The rights of IoT Hub.
const (
	registryRead   permission = 1 << iota // read identities
	registryWrite                         // create, change and delete identities
	serviceConnect                        // twins, queries, change feed
	deviceConnect                         // what a device does, for any device
)

func (p permission) has(right permission) bool { return p&right == right }

// policy is a shared access policy: a name, two keys in base64, both valid, and
// the rights they give.
type policy struct {
	Name               string
	Primary, Secondary string
	Rights             permission
}

// policies holds the shared access policies by name.
type policies map[string]policy
