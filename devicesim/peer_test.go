package devicesim_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"twinboard/devicesim"
	"twinboard/hubclient/iothub"
)

// A script stands for hubs that misbehave in ways the local hub does not: it
// answers with raw packets.
type script struct {
	addr string
	pool *x509.CertPool
}

// play listens for TLS and hands each connection to the script.
func play(t *testing.T, certificate tls.Certificate, pool *x509.CertPool, serve func(*peer)) script {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serve(&peer{t, conn})
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-over })
	return script{ln.Addr().String(), pool}
}

func (s script) fleet(t *testing.T, o devicesim.Options) *devicesim.Fleet {
	o.MQTTAddr, o.RootCAs = s.addr, s.pool
	return newFleet(t, o)
}

// peer is one connection of a device, seen from the hub.
type peer struct {
	t    *testing.T
	conn net.Conn
}

// read returns the next packet, or nil when the device is gone.
func (p *peer) read() packets.ControlPacket {
	packet, err := packets.ReadPacket(p.conn)
	if err != nil {
		return nil
	}
	return packet
}

func (p *peer) write(packet packets.ControlPacket) {
	if err := packet.Write(p.conn); err != nil {
		p.t.Log("the device is gone:", err)
	}
}

func (p *peer) publish(topic, payload string) {
	packet := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	packet.TopicName, packet.Payload = topic, []byte(payload)
	p.write(packet)
}

func (p *peer) connack(code byte) {
	ack := packets.NewControlPacket(packets.Connack).(*packets.ConnackPacket)
	ack.ReturnCode = code
	p.write(ack)
}

// serve acts as a hub: answer gets each twin request and says what to do.
func (p *peer) serve(granted byte, answer func(topic iothub.Topic)) {
	for {
		switch packet := p.read().(type) {
		case nil, *packets.DisconnectPacket:
			return
		case *packets.ConnectPacket:
			p.connack(packets.Accepted)
		case *packets.SubscribePacket:
			ack := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			ack.MessageID, ack.ReturnCodes = packet.MessageID, bytes.Repeat([]byte{granted}, len(packet.Topics))
			p.write(ack)
		case *packets.PublishPacket:
			ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
			ack.MessageID = packet.MessageID
			p.write(ack)
			topic, err := iothub.ParsePublish(packet.TopicName, "dev1", "")
			if err != nil {
				p.t.Error(err)
			}
			answer(topic)
		}
	}
}

// accept answers a twin request with 204 or with the given desired section.
func (p *peer) accept(topic iothub.Topic, desired string) {
	if topic.Kind == iothub.TopicReported {
		p.publish(iothub.TwinResponseTopic(204, topic.RequestID, 2), "")
		return
	}
	p.publish(iothub.TwinResponseTopic(200, topic.RequestID, 0), `{"desired":`+desired+`,"reported":{"$version":1}}`)
}

// certificate makes a self-signed certificate and the pool that trusts it.
func certificate(t *testing.T, name string, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name},
		NotBefore: until.Add(-time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func scripted(t *testing.T, serve func(*peer)) script {
	t.Helper()
	cert, pool := certificate(t, "localhost", time.Now().Add(30*time.Minute))
	return play(t, cert, pool, serve)
}

// dev1 is a device of a scripted hub, which checks no signature.
var dev1 = devicesim.Spec{ConnectionString: iothub.DeviceConnectionString{
	HostName: "localhost", DeviceID: "dev1", SharedAccessKey: "c2VjcmV0",
}}
