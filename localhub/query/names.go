package query

import "strings"

// systemFields are the root members of a twin as its document spells them.
var systemFields = []string{
	"deviceId", "moduleId", "etag", "deviceEtag", "status", "statusReason", "statusUpdateTime",
	"connectionState", "lastActivityTime", "cloudToDeviceMessageCount", "authenticationType",
	"x509Thumbprint", "modelId", "version", "tags", "properties", "capabilities", "deviceScope",
	"parentScopes", "configurations",
}

// jobFields are the root members of a row of devices.jobs.
var jobFields = []string{
	"deviceId", "moduleId", "jobId", "jobType", "status", "startTimeUtc", "endTimeUtc", "createdDateTimeUtc", "lastUpdatedDateTimeUtc",
	"outcome", "error",
}

// fieldNames leads from a field in lower case to its name. The published query
// over jobs says createdTimeUtc where the published row has createdDateTimeUtc:
// both are read.
var fieldNames = map[Source]map[string]string{
	Devices: lowered(systemFields), Modules: lowered(systemFields), Jobs: jobFieldNames(),
}

func jobFieldNames() map[string]string {
	m := lowered(jobFields)
	m["createdtimeutc"] = "createdDateTimeUtc"
	return m
}

func lowered(names []string) map[string]string {
	m := make(map[string]string, len(names))
	for _, name := range names {
		m[strings.ToLower(name)] = name
	}
	return m
}

// resolve returns the keys a path follows in the document. Choice: only the
// root is found in any case, since published queries spell system fields in
// every way; what lies below is as case-sensitive as twins are.
func resolve(segments []string, source Source) []string {
	keys := unprefixed(segments, source)
	if field, ok := fieldNames[source][strings.ToLower(keys[0])]; ok && field != keys[0] {
		keys = append([]string{field}, keys[1:]...)
	}
	return keys
}

// unprefixed drops the collection from the front: devices.deviceId. Paths of
// a longer collection may also begin with the shorter one.
func unprefixed(segments []string, source Source) []string {
	prefix := strings.Split(string(source), ".")
	for n := len(prefix); n > 0; n-- {
		if len(segments) > n && strings.EqualFold(strings.Join(segments[:n], "."), strings.Join(prefix[:n], ".")) {
			return segments[n:]
		}
	}
	return segments
}

// nameOf returns the member of the row an element of SELECT fills: its alias,
// else the last key of its path. Choice for aggregates, which every published
// query names: the function in lower case.
func nameOf(item Item) string {
	switch {
	case item.Alias != "":
		return item.Alias
	case item.Aggregate != "":
		return strings.ToLower(string(item.Aggregate))
	}
	return item.Path.keys[len(item.Path.keys)-1]
}
