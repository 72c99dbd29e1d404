package localhub

import "fmt"

// maxConnectPacket bounds the packet that opens a connection: its will's message has
// at most 64 KB, and names and token are short. Whoever sends it is not known
// yet, and mochi makes room for the length that a packet claims.
const maxConnectPacket = 72 * 1024

// frames follows the packets in the bytes a device sends, and stops where mochi
// goes on: at a length of more than four bytes, which has no end for mochi, and
// at a first packet that is too large.
type frames struct {
	left   int  // bytes to come of the packet at hand
	header bool // its length is being read
	length int  // what of it has been read
	digits int  // in how many bytes
	opened bool // the first packet has begun
}

// pass returns how many of the bytes are in order, and what is wrong with the
// next one.
func (f *frames) pass(p []byte) (int, error) {
	for i := 0; i < len(p); {
		switch {
		case f.left > 0:
			n := min(f.left, len(p)-i)
			f.left -= n
			i += n
			continue
		case !f.header:
			*f = frames{header: true, opened: f.opened}
		default:
			if err := f.digit(p[i]); err != nil {
				return i, err
			}
		}
		i++
	}
	return len(p), nil
}

// digit takes one byte of the remaining length (MQTT 3.1.1, 2.2.3).
func (f *frames) digit(b byte) error {
	const longest = 4
	f.length |= int(b&0x7f) << (7 * f.digits)
	f.digits++
	switch {
	case b&0x80 != 0 && f.digits == longest:
		return fmt.Errorf("sent a packet length of more than %d bytes", longest)
	case b&0x80 != 0:
		return nil
	case !f.opened && f.length > maxConnectPacket:
		return fmt.Errorf("began with a packet of %d bytes; %d are allowed", f.length, maxConnectPacket)
	}
	f.left, f.header, f.opened = f.length, false, true
	return nil
}
