// Package localhub is an IoT Hub of our own: device identities and twins in an
// SQLite file, the service API over HTTPS, devices over MQTT, and a change feed
// that Azure's hub does not have. It is for one machine: a laptop, a demo, a CI
// job.
//
// The registry is the heart: one goroutine owns every write of identities and
// twins, commits what has queued up in one durable transaction, and answers and
// notifies only afterwards. It never touches a socket. The REST and MQTT
// servers translate between it and the wire and hold no state of twins
// themselves.
//
// The package knows nothing of browsers and does not route messages, do jobs
// for IoT Edge, or speak AMQP.
package localhub
