package main

// pageState is a page in one of its states.
type pageState struct {
	name  string
	path  string
	act   func(v *visit) // brings the page into the state; nil where its address does
	shows string         // a selector of what stands there then
	says  string         // a message that stands there then, "" for any
}

// The states of a dashboard whose hub has devices of every kind. Their order is
// that in which they are visited: some change what later ones show.
var mainStates = []pageState{
	{"overview", "/h/local", nil, testid("state-bar"), "overview.look"},
	{"welcome", "/welcome", nil, testid("door-connect"), ""},
	{"list of keys", "/h/local", presses("?"), "#keys[open]", "layout.keys"},
	{"menu of themes", "/h/local", opens(".menu-holder:has([data-theme-form])"), "[data-theme-form]", "layout.theme.system"},
	{"menu of help", "/h/local", opens(".menu-holder:has([data-dialog=keys])"), "[data-dialog=keys]", "nav.learn.long"},

	{"devices", "/h/local/devices", nil, testid("device-row"), ""},
	{"devices with columns", "/h/local/devices?q=batch-0&col=tags.bay&col=desired.level&sort=-id", nil, testid("device-row"), ""},
	{"devices without a hit", "/h/local/devices?q=nowhere", nil, testid("empty"), "devices.no-hits"},
	{"devices without a hit of a long filter", "/h/local/devices?q=" + long(200) + "&state=rejected&tag.bay=" + long(100), nil, testid("empty"), "devices.clear"},
	{"devices of a state", "/h/local/devices?state=rejected", nil, testid("chip"), ""},
	{"devices selected", "/h/local/devices?q=batch-0", clicks(testid("select-page")), testid("select-bar"), ""},
	{"devices with their columns to choose", "/h/local/devices?q=batch-0", opens(testid("columns")), testid("column-0"), "devices.columns.show"},
	{"filters on a phone", "/h/local/devices?q=batch-0", phoneFilters, "#devices-facets", ""},
	{"add a device", "/h/local/add-device", nil, testid("add-form"), ""},
	{"add a device, asked in place", "/h/local/devices?q=batch-0", clicks(testid("add-device")), "#add-device[open]", ""},
	{"add a device with a mistake", "/h/local/add-device", addDevice("a b"), ".field-error", ""},
	{"add a device that is there", "/h/local/add-device", addDevice("states"), ".field-error", ""},
	{"device added", "/h/local/add-device", addDevice("joined"), testid("next-steps"), ""},

	{"compare", "/h/local/devices/states", nil, testid("compare"), ""},
	{"compare with a trace", "/h/local/devices/states", opens("tr.compare-row:nth-of-type(2) .trace"), ".trace[open] " + testid("trace"), ""},
	{"compare nothing", "/h/local/devices/silent", nil, testid("empty"), "twin.empty"},
	{"compare long values", "/h/local/devices/" + longID, opens(".long-value"), testid("compare"), ""},
	{"compare markup", "/h/local/devices/" + attackerPath, nil, testid("compare"), ""},
	{"json", "/h/local/devices/states?view=json", nil, "#twin-json-whole, .json", ""},
	{"json of long values", "/h/local/devices/" + longID + "?view=json", nil, ".json", ""},
	{"json of markup", "/h/local/devices/" + attackerPath + "?view=json", nil, ".json", ""},
	{"no such device", "/h/local/devices/ghost", nil, testid("error"), "error.no-device.do"},
	{"no such device of a long name", "/h/local/devices/" + long(128), nil, testid("error"), "error.no-device.do"},

	{"history of nothing", "/h/local/devices/states?view=history", nil, testid("empty"), "history.empty"},
	{"edit as rows", "/h/local/devices/states/edit/desired", nil, testid("edit-row"), ""},
	{"edit as json", "/h/local/devices/states/edit/tags?as=json", nil, ".cm-editor", ""},
	{"edit long values", "/h/local/devices/" + longID + "/edit/desired", nil, testid("edit-row"), ""},
	{"edit markup", "/h/local/devices/" + attackerPath + "/edit/desired", nil, testid("edit-row"), ""},
	{"edit with nothing there", "/h/local/devices/silent/edit/desired", nil, testid("edit-row"), ""},
	{"edit with a mistake in a row", "/h/local/devices/edited/edit/desired", rowMistake, testid("errors"), ""},
	{"edit with a row to remove", "/h/local/devices/edited/edit/desired", clicks(testid("remove-row")), ".edit-removed", "twin.edit.removed"},
	{"edit with a mistake in the JSON", "/h/local/devices/edited/edit/desired?as=json", writesJSON("{\n  \"level\": 30,\n  \"mode\": eco\n}"), testid("errors"), ""},
	{"edit with too much", "/h/local/devices/edited/edit/desired?as=json", writesJSON(tooMuch), testid("errors"), ""},
	{"edit with something forbidden", "/h/local/devices/edited/edit/tags?as=json", writesJSON(`{"$x": 1, "a.b": 2, "c": [` + long(5000) + `]}`), testid("errors"), ""},
	{"review", "/h/local/devices/edited/edit/desired", review, testid("apply"), "twin.review.request"},
	{"review of nothing", "/h/local/devices/edited/edit/desired", follows(testid("review-button")), testid("back-to-editing"), "twin.review.nothing"},
	{"review of long values", "/h/local/devices/" + longID + "/edit/tags", reviewLong, testid("apply"), ""},
	{"conflict", "/h/local/devices/edited/edit/desired", meets, testid("conflict-field"), ""},
	{"conflict not decided", "/h/local/devices/edited/edit/desired", undecided, testid("errors"), ""},
	{"saved", "/h/local/devices/edited/edit/desired", saves, ".flash", "action.undo"},
	{"device gone while editing", "/h/local/devices/batch-01/edit/desired", goneWhileEditing, testid("failure"), "twin.failure.gone.do"},
	{"history", "/h/local/devices/edited?view=history", nil, testid("change-row"), ""},
	{"history of one change", "/h/local/devices/edited?view=history", follows(".change-time a"), testid("past"), ""},
	{"review of an undo", "/h/local/devices/edited?view=history", undoes, testid("apply"), ""},

	{"identity", "/h/local/devices/states?view=identity", nil, testid("keys"), ""},
	{"identity of a disabled device", "/h/local/devices/barred?view=identity", nil, testid("identity-enabled"), "identity.disabled"},
	{"identity with all its keys", "/h/local/devices/fobs?view=identity", opens("#second-keys"), "#second-keys[open] .secret", ""},
	{"key shown", "/h/local/devices/fobs?view=identity", keyShown, "[data-shown] [data-secret-more]", "secret.more"},
	{"key shown without script", "/h/local/devices/fobs?view=identity", sends("/h/local/devices/fobs/secret?what=primary-key", ""), testid("secret"), "secret.page"},
	{"new key, asked in place", "/h/local/devices/fobs?view=identity", clicks(testid("key-primary")), "#key-primary[open]", "identity.key.primary.text"},
	{"new key, asked", "/h/local/devices/fobs/keys/secondary", nil, "#key-secondary-word", "identity.key.secondary.text"},
	{"new key, not confirmed", "/h/local/devices/fobs/keys/primary", follows("main .button-danger"), testid("errors"), ""},
	{"swap of keys, asked in place", "/h/local/devices/fobs?view=identity", clicks(testid("key-swap")), "#key-swap[open]", "identity.key.swap.text"},
	{"swap of keys, asked", "/h/local/devices/fobs/keys/swap", nil, "main .button-primary", "identity.key.swap.text"},
	{"keys swapped", "/h/local/devices/fobs/keys/swap", follows("main .button-primary"), ".flash", ""},
	{"delete", "/h/local/devices/states/delete", nil, "#delete-word", "identity.delete.text"},
	{"delete, asked in place", "/h/local/devices/states?view=identity", clicks(testid("delete-device")), "#delete[open]", "identity.delete.text"},
	{"delete, not confirmed", "/h/local/devices/states/delete", follows("main .button-danger"), testid("errors"), ""},
	{"disable", "/h/local/devices/states/disable", nil, "#status-disabled-word", "identity.disable.text"},
	{"changed meanwhile", "/h/local/devices/fobs/keys/swap", swapLate, testid("error"), "error.changed-meanwhile.what"},

	{"no modules", "/h/local/devices/states?view=modules", nil, testid("module-add"), "modules.empty"},
	{"modules", "/h/local/devices/edited?view=modules", nil, testid("module"), ""},
	{"module with a mistake", "/h/local/devices/edited?view=modules", sends("/h/local/devices/edited/modules", "id=a+b"), ".field-error", ""},
	{"module", "/h/local/devices/edited/modules/camera", nil, testid("compare"), ""},
	{"module in JSON", "/h/local/devices/edited/modules/camera?view=json", nil, ".json", ""},
	{"module's history", "/h/local/devices/edited/modules/camera?view=history", nil, testid("watched") + ", " + testid("empty"), ""},
	{"module's messages", "/h/local/devices/edited/modules/camera?view=messages", nil, ".feed", ""},
	{"module's methods", "/h/local/devices/edited/modules/camera?view=methods", nil, testid("method-form"), ""},
	{"module edited", "/h/local/devices/edited/modules/camera/edit/desired", nil, testid("edit-row"), ""},
	{"module's identity", "/h/local/devices/edited/modules/camera?view=identity", nil, testid("keys"), "modules.danger.text"},
	{"delete a module", "/h/local/devices/edited/modules/camera/delete", nil, "#delete-word", "modules.delete.text"},
	{"no such module", "/h/local/devices/states/modules/ghost", nil, testid("error"), "error.no-module.do"},

	{"no messages", "/h/local/devices/silent?view=messages", nil, ".feed", "messages.example"},
	{"messages", "/h/local/devices/talker?view=messages", messages, ".message[data-kind=telemetry]", ""},
	{"messages opened", "/h/local/devices/talker?view=messages", opens(".message-more"), ".message-more[open]", ""},
	{"messages of no kind that came", "/h/local/devices/talker?view=messages&q=nowhere", nil, testid("message-filter"), "messages.clear"},
	{"messages paused", "/h/local/devices/talker?view=messages", clicks("[data-feed-pause]"), "[data-feed-pause][aria-pressed=true]", ""},

	{"methods", "/h/local/devices/silent?view=methods", nil, testid("method-form"), "methods.empty"},
	{"methods of a disabled device", "/h/local/devices/barred?view=methods", nil, ".notice-warning" + testid("methods-notice"), ""},
	{"method on a device that is away", "/h/local/devices/silent?view=methods", calls("silent", "reboot", "offline"), call("offline"), ""},
	{"method with a bad payload", "/h/local/devices/talker?view=methods", methodMistake, testid("errors"), ""},
	{"method answered", "/h/local/devices/talker?view=methods", calls("talker", "status", "answered"), call("answered"), ""},
	{"method refused", "/h/local/devices/talker?view=methods", calls("talker", "refuse", "refused"), call("refused"), ""},
	{"method answered with no JSON", "/h/local/devices/talker?view=methods", calls("talker", "garble", "failed"), call("failed"), ""},
	{"method running", "/h/local/devices/talker?view=methods", calls("talker", "hang", "running"), call("running"), ""},

	{"bulk change asked", "/h/local/devices?q=batch", selects("delete"), testid("bulk-word"), ""},
	{"bulk change not confirmed", "/h/local/devices?q=batch-0", unconfirmed, testid("errors"), ""},
	{"bulk change partly failed", "/h/local/devices?q=batch-0", partlyFails, `[data-phase=done] [data-outcome=failed]`, ""},
	{"bulk change of what is so already", "/h/local/devices?q=batch-0", enablesAgain, `[data-phase=done] [data-outcome=already]`, ""},
	{"bulk change of nothing", "/h/local/devices?q=batch-0", sends("/h/local/bulk?q=batch-0", "act=disable"), ".flash", "bulk.nothing"},
	{"no such bulk change", "/h/local/bulk/none", nil, testid("error"), "error.no-bulk.do"},
	{"add many", "/h/local/import", nil, testid("import-pattern"), "import.pattern.title"},
	{"add many without a pattern", "/h/local/import", pattern("pump", `{"bay": b1}`, long(400)), testid("import-problems"), ""},
	{"add many with mistakes", "/h/local/import", csv(badCSV), testid("import-problems"), ""},
	{"add many by a pattern", "/h/local/import", pattern("spare-{01..30}", `{"bay": "`+long(200)+`"}`, ""), testid("bulk-items"), ""},
	{"add many from CSV", "/h/local/import", csv("deviceId,tags.bay,status\nc-1,b1,disabled\nc-2," + long(300) + ",enabled\n"), testid("bulk-items"), ""},
	{"many added, some refused", "/h/local/import", someRefused, `[data-phase=done] [data-outcome=failed]`, ""},
	{"bulk change finished", "/h/local/devices?q=batch-0", deletesAll, `[data-phase=done]`, ""},

	{"changes", "/h/local/changes", nil, testid("change-row"), ""},
	{"changes of a device", "/h/local/changes?device=edited&kind=desired", nil, testid("change-row"), ""},
	{"changes without a hit", "/h/local/changes?device=nowhere", nil, testid("empty"), "changes.no-hits"},

	{"query", "/h/local/query", nil, testid("query-example"), "query.examples"},
	{"query answered", asks("SELECT * FROM devices"), nil, testid("query-row"), ""},
	{"query as json", asks("SELECT * FROM devices") + "&as=json", nil, "#query-json", ""},
	{"query projected", asks("SELECT deviceId, tags.location, properties.desired FROM devices"), nil, testid("query-row"), ""},
	{"query grouped", asks("SELECT tags.bay AS bay, COUNT() AS n FROM devices GROUP BY tags.bay"), nil, testid("query-row"), ""},
	{"query without a hit", asks("SELECT * FROM devices WHERE tags.x=1"), nil, testid("query-empty"), "query.empty"},
	{"query with a mistake", asks("SELECT * FROM devices WHERE tags.group=1"), nil, testid("query-mistake"), ""},
	{"query that ends early", asks("SELECT * FROM devices WHERE"), nil, testid("query-mistake"), ""},
	{"query that is too long", asks("SELECT * FROM devices WHERE tags.x='" + long(9000) + "'"), nil, "main [role=alert], .field-error", ""},
	{"query of modules", asks("SELECT * FROM devices.modules"), nil, "main", ""},

	{"simulator", "/h/local/simulator", nil, testid("sim-row"), ""},
	{"simulator beside a device", "/h/local/devices/demo-01?dock=simulator", nil, testid("sim-this"), ""},
	{"simulator beside a device that is not simulated", "/h/local/devices/silent?dock=simulator", nil, testid("sim-start-this"), ""},
	{"simulator with no such number", "/h/local/simulator", sends("/h/local/simulator/start", "count=0&prefix=sim-&back=/h/local/simulator"), ".field-error", ""},
	{"simulator with no name", "/h/local/simulator", sends("/h/local/simulator/start", "count=2&prefix=&back=/h/local/simulator"), ".field-error", "simulator.prefix.empty"},
	{"simulator without such a device", "/h/local/simulator", sends("/h/local/simulator/device", "id=stranger&back=/h/local/simulator"), ".field-error", ""},
	{"simulated device that may not connect", "/h/local/simulator", simulatesDisabled, testid("sim-reason") + ":not([hidden])", ""},
	{"stop all", "/h/local/simulator/stop-all", nil, "main form", "simulator.stop-all.title"},
	{"simulator stopped", "/h/local/simulator/stop-all", follows("main form .button-primary"), testid("sim-remove"), ""},

	{"tutorial 1", "/h/local/learn/1", nil, lesson(1, false), ""},
	{"tutorial 1 done", "/h/local/learn/1", follows(testid("learn-check")), lesson(1, true), ""},
	{"tutorial 2", "/h/local/learn/2", nil, lesson(2, false), ""},
	{"tutorial 2 done", "/h/local/learn/2", follows(testid("learn-show")), lesson(2, true), ""},
	{"tutorial 3", "/h/local/learn/3", nil, lesson(3, false), ""},
	{"tutorial 3 done", "/h/local/learn/3", follows(testid("learn-show")), lesson(3, true), ""},
	{"tutorial 4", "/h/local/learn/4", nil, lesson(4, false), ""},
	{"tutorial 4 done", "/h/local/learn/4", follows(testid("learn-check")), lesson(4, true), ""},
	{"tutorial 5", "/h/local/learn/5", nil, lesson(5, false), ""},
	{"tutorial 5 done", "/h/local/learn/5", follows(testid("learn-show")), lesson(5, true), ""},
	{"tutorial 6", "/h/local/learn/6", nil, lesson(6, false), ""},
	{"tutorial 6 done", "/h/local/learn/6", follows(testid("learn-show")), lesson(6, true), ""},
	{"tutorial 7", "/h/local/learn/7", nil, lesson(7, false), ""},
	{"tutorial 7 done", "/h/local/learn/7", follows(testid("learn-check")), lesson(7, true), ""},
	{"tutorial beside the devices", "/h/local/devices?q=batch-0&dock=learn", nil, "aside " + testid("learn"), ""},

	{"no such page", "/h/local/nothing", nil, testid("error"), "error.not-found.what"},
	{"no such hub", "/h/elsewhere/devices", nil, testid("error"), "error.no-hub.do"},
	{"no such way", "/h/local/simulator/start", nil, testid("error"), "error.method.what"},
	{"a form that is damaged", "/h/local/add-device", sends("/h/local/bulk", "act=dance"), testid("error"), "error.bad-form.what"},
}

// The states of a dashboard whose hub has no devices.
var emptyStates = []pageState{
	{"nothing on the overview", "/h/local", nil, testid("empty"), "devices.none"},
	{"nothing in devices", "/h/local/devices", nil, testid("empty"), "devices.none"},
	{"nothing to query", "/h/local/query", nil, testid("query-form"), ""},
	{"nothing found", asks("SELECT * FROM devices"), nil, testid("query-empty"), "query.empty"},
	{"nothing changed", "/h/local/changes", nil, testid("empty"), "changes.none"},
	{"nothing simulated", "/h/local/simulator", nil, testid("preset-3"), "simulator.lead.none"},
	{"nothing to stop", "/h/local/simulator/stop-all", nil, "main", ""},
	{"nothing beside a page", "/h/local/devices?dock=simulator", nil, "aside " + testid("simulator"), ""},
	{"tutorial beside nothing", "/h/local/devices?dock=learn", nil, "aside " + testid("learn"), ""},
}

// The states of a dashboard of hubs that fail.
var farStates = []pageState{
	{"overview of a slow hub", "/h/laggard", nil, testid("reading"), ""},
	{"devices of a slow hub", "/h/laggard/devices", nil, "main", "devices.lead.reading"},

	{"device of a hub that answers after seconds", "/h/sluggish/devices/pump-01", nil, testid("twin-notice"), ""},
	{"device in JSON of a hub that answers after seconds", "/h/sluggish/devices/pump-01?view=json", nil, ".json", ""},
	{"history on a hub that answers after seconds", "/h/sluggish/devices/pump-01?view=history", nil, testid("empty"), ""},
	{"edit on a hub that answers after seconds", "/h/sluggish/devices/pump-01/edit/desired", nil, testid("edit-row"), ""},
	{"review on a hub that answers after seconds", "/h/sluggish/devices/pump-01/edit/desired", review, testid("apply"), ""},

	{"welcome with many hubs", "/welcome", nil, testid("door-look"), ""},

	{"overview of a dead hub", "/h/dead", nil, testid("hub-unread"), "devices.lead.unread"},
	{"devices of a dead hub", "/h/dead/devices", nil, testid("hub-unread"), "devices.lead.unread"},
	{"device of a dead hub", "/h/dead/devices/pump-01", nil, testid("error"), "error.hub-refused.do"},
	{"changes of a dead hub", "/h/dead/changes", nil, testid("empty"), ""},
	{"query to a dead hub", "/h/dead/query?q=" + escape("SELECT * FROM devices"), nil, testid("error"), "error.hub-refused.do"},
	{"add a device to a dead hub", "/h/dead/add-device", addDevice("spare"), ".field-error", ""},
	{"simulator of a dead hub", "/h/dead/simulator", sends("/h/dead/simulator/start", "count=2&prefix=sim-&confirm=yes&back=/h/dead/simulator"), ".sim-failures", "simulator.failed"},
	{"tutorial elsewhere", "/h/dead/learn/1", nil, testid("error"), "error.learn-local-only.title"},
	{"tutorial beside pages elsewhere", "/h/dead/devices?dock=learn", nil, "aside p", "error.learn-local-only.title"},
	{"simulator asks first elsewhere", "/h/sealed/simulator", sends("/h/sealed/simulator/start", "count=300&prefix=sim-&back=/h/sealed/simulator"), "main form", ""},

	{"overview with a wrong key", "/h/badkey", nil, testid("hub-unread"), ""},
	{"devices with a wrong key", "/h/badkey/devices", nil, testid("hub-unread"), "error.wrong-key.title"},
	{"device with a wrong key", "/h/badkey/devices/pump-01", nil, testid("error"), "error.wrong-key.do"},
	{"query with a wrong key", "/h/badkey/query?q=" + escape("SELECT * FROM devices"), nil, testid("error"), "error.wrong-key.do"},

	{"overview of a busy hub", "/h/swamped", nil, testid("overview-notice"), "error.throttled.title"},
	{"devices of a busy hub", "/h/swamped/devices", nil, testid("devices-notice"), "error.throttled.title"},
	{"device of a busy hub", "/h/swamped/devices/pump-01", nil, testid("error"), "error.throttled.what"},
	{"identity on a busy hub", "/h/swamped/devices/pump-01?view=identity", nil, testid("error"), "error.throttled.what"},
	{"query to a busy hub", "/h/swamped/query?q=" + escape("SELECT * FROM devices"), nil, testid("error"), "error.throttled.what"},
	{"add a device to a busy hub", "/h/swamped/add-device", addDevice("spare"), ".field-error", ""},

	{"not saved on a busy hub", "/h/sealed/devices/pump-01/edit/desired", saves, testid("failure"), "error.throttled.what"},
	{"method on a busy hub", "/h/sealed/devices/pump-01?view=methods", calls("pump-01", "reboot", "failed"), call("failed"), ""},
	{"bulk change that waits", "/h/sealed/devices?q=pump", bulkWaits, "[data-phase=running] " + testid("bulk-wait"), "bulk.stop"},
	{"bulk change that was stopped", "/h/sealed/devices?q=pump", bulkStops, "[data-phase=stopped]", ""},

	{"not known whether saved", "/h/frayed/devices/pump-01/edit/desired", saves, testid("failure"), "error.safe.maybe"},
	{"not known whether the bulk change was made", "/h/frayed/devices?q=pump-0", bulkTorn, "[data-outcome=failed]", ""},

	{"overview of a hub that has gone", "/h/vanished", nil, testid("overview-notice"), ""},
	{"devices of a hub that has gone", "/h/vanished/devices", nil, testid("devices-notice"), ""},
	{"device of a hub that has gone", "/h/vanished/devices/pump-01", nil, testid("twin-notice"), ""},
	{"methods of a hub that has gone", "/h/vanished/devices/pump-01?view=methods", nil, testid("methods-notice"), ""},
	{"identity on a hub that has gone", "/h/vanished/devices/pump-01?view=identity", nil, testid("error"), ""},
	{"messages of a hub that has gone", "/h/vanished/devices/pump-01?view=messages", nil, ".feed", ""},
}

// The states that take a while.
var lateStates = []pageState{
	{"overview of a hub that did not answer in time", "/h/laggard", nil, testid("hub-unread"), "error.hub-timeout.title"},
	{"devices of a hub that did not answer in time", "/h/laggard/devices", nil, testid("hub-unread"), "error.hub-timeout.do"},
}
