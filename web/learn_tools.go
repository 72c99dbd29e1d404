package web

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// lessonTools is a step with az, curl and, for what the device does, with
// mosquitto. Secrets stand as variables: a copied command holds none.
func lessonTools(ctx context.Context, w walk, n int) []views.LearnTool {
	az, curl := w.azCommands(n), w.curlCommands(n)
	var tools []views.LearnTool
	add := func(id, name string, lines []string) {
		if len(lines) == 0 {
			return
		}
		block := views.CodeProps{ID: fmt.Sprintf("learn-%s-%d", id, n), Label: text.T(ctx, "learn.tool.label", "Tool", name), Text: strings.Join(lines, "\n")}
		tools = append(tools, views.LearnTool{ID: id, Name: name, Code: []views.CodeProps{block}})
	}
	add("twinboard", "twinboard", w.ownCommands(n))
	add("az", "az", az)
	add("curl", "curl", curl)
	add("mosquitto", "mosquitto_pub", w.mosquittoCommands(n))
	return tools
}

// ownCommands is what this program's command line offers.
func (w walk) ownCommands(n int) []string {
	switch n {
	case 1:
		return []string{"twinboard connection-string --policy " + lessonPolicy}
	case 2:
		return []string{"twinboard connection-string --create --device " + shellQuote(w.device)}
	}
	return nil
}

func (w walk) azCommands(n int) []string {
	id := shellQuote(w.device)
	login := ` --login "$HUB_CONNECTION"`
	tags, desired := compact(lessonPatch().Tags), compact(lessonPatch().Desired)
	update := []string{
		"az iot hub device-twin show --device-id " + id + login,
		"az iot hub device-twin update --device-id " + id + login + " \\\n  --etag \"$ETAG\" \\\n  --tags " + shellQuote(tags) + " \\\n  --desired " + shellQuote(desired),
	}
	queries := []string{
		"az iot hub query" + login + " \\\n  --query-command " + shellQuote(lessonPlantQuery),
		"az iot hub query" + login + " \\\n  --query-command " + shellQuote(lessonCellularQuery),
	}
	switch n {
	case 1:
		return []string{
			"az iot hub policy create --hub-name NAME --name " + lessonPolicy + " \\\n  --permissions RegistryRead ServiceConnect",
			"HUB_CONNECTION=$(az iot hub connection-string show --hub-name NAME \\\n  --policy-name " + lessonPolicy + " --output tsv)",
		}
	case 2:
		return []string{"az iot hub device-identity create --device-id " + id + login}
	case 3:
		return update
	case 4:
		return queries
	case 5:
		return []string{"az iot device simulate --device-id " + id + login + " \\\n  --protocol mqtt --init-reported-properties '{\"connectivity\":\"cellular\"}'"}
	case 6:
		return append(update, queries...)
	}
	return nil
}

func (w walk) curlCommands(n int) []string {
	twin := "/twins/" + url.PathEscape(w.device)
	update := []string{
		w.curl("GET", twin, "", ""),
		w.curl("PATCH", twin, `If-Match: "$ETAG"`, compact(lessonPatch())),
	}
	query := func(q string) string {
		return w.curl("POST", "/devices/query", "", compact(map[string]string{"query": q}))
	}
	queries := []string{query(lessonPlantQuery), query(lessonCellularQuery)}
	switch n {
	case 1:
		return []string{
			"TOKEN=$(az iot hub generate-sas-token --connection-string \"$HUB_CONNECTION\" --query sas --output tsv)",
			w.curl("GET", "/statistics/devices", "", ""),
		}
	case 2:
		return []string{w.curl("PUT", "/devices/"+url.PathEscape(w.device), "", compact(map[string]string{"deviceId": w.device}))}
	case 3:
		return update
	case 4:
		return queries
	case 6:
		return append(update, queries...)
	}
	return nil
}

func (w walk) curl(method, path, header, body string) string {
	lines := []string{"curl --cacert \"$(twinboard ca)\" --request " + method + " --header \"Authorization: $TOKEN\""}
	if header != "" {
		lines = append(lines, "  --header "+`"`+strings.ReplaceAll(header, `"`, `\"`)+`"`)
	}
	if body != "" {
		lines = append(lines, "  --header 'Content-Type: application/json'", "  --data "+shellQuote(body))
	}
	lines = append(lines, "  "+shellQuote("https://"+w.hub.HostName+path+"?api-version="+iothub.APIVersion))
	return strings.Join(lines, " \\\n")
}

// mosquittoCommands is what the device app sends, with mosquitto's client.
func (w walk) mosquittoCommands(n int) []string {
	if n != 5 {
		return nil
	}
	user := iothub.UserName{Host: w.hub.DeviceHostName, DeviceID: w.device, APIVersion: iothub.APIVersion}
	return []string{
		"DEVICE_TOKEN=$(az iot hub generate-sas-token --connection-string \"$DEVICE_CONNECTION\" --query sas --output tsv)",
		"mosquitto_pub --cafile \"$(twinboard ca)\" --host " + w.hub.DeviceHostName + " --port 8883 --protocol-version mqttv311 \\\n  --id " + shellQuote(w.device) +
			" --username " + shellQuote(user.String()) + " --pw \"$DEVICE_TOKEN\" \\\n  --topic " + shellQuote(iothub.ReportedTopic("1")) + " --message '{\"connectivity\":\"cellular\"}'",
	}
}

// shellQuote makes one word of a text for a POSIX shell.
func shellQuote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%+", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
