// Package devicesim runs simulated devices: real MQTT clients that do what the
// device app of Microsoft's tutorial "get started with device twins" does.
// Each connects over TLS as its identity, reads its twin, listens for desired
// patches and reports how it is connected to the network. They work against
// any IoT Hub, the local one or Azure's, because they know nothing but a device
// connection string. A device may also answer what is wanted of it, as
// well-behaved devices do.
//
// A Fleet holds the devices of one hub. What they do is told by one feed of
// events, and what they really send and receive by a wire trace. The package
// does not create identities and never speaks the service API.
package devicesim
