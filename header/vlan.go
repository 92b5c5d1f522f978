package header

import "encoding/binary"

// VLANLen is the length of a VLAN tag in bytes.
const VLANLen = 4

// VLANIDMask masks the VLAN identifier in a TCI (IEEE 802.1Q 9.6). Identifier
// 0 is a priority tag without a VLAN, 4095 is reserved.
const VLANIDMask = 0x0fff

// VLAN is a view of what follows the EtherType 0x8100 or 0x88a8 of a tagged
// frame (IEEE 802.1Q 9.6):
//
//	0 TCI: priority (3 bits), drop eligible (1), identifier (12) | 2 type of the payload
type VLAN [VLANLen]byte

// ParseVLAN is the gate of tags: b starts after the EtherType that announced
// the tag.
func ParseVLAN(b []byte) (*VLAN, Fault) {
	if len(b) < VLANLen {
		return nil, FaultVLANShort
	}
	return (*VLAN)(b), OK
}

// TCI returns the tag control information: priority, drop eligible bit and
// identifier.
func (h *VLAN) TCI() uint16 { return binary.BigEndian.Uint16(h[0:2]) }

// ID returns the VLAN identifier, 0 to 4095.
func (h *VLAN) ID() uint16 { return h.TCI() & VLANIDMask }

// Priority returns the priority code point, 0 to 7.
func (h *VLAN) Priority() uint8 { return h[0] >> 5 }

// DropEligible returns the drop eligible indicator.
func (h *VLAN) DropEligible() bool { return h[0]&0x10 != 0 }

// Type returns the EtherType of the payload, which may be another tag.
func (h *VLAN) Type() EtherType { return EtherType(binary.BigEndian.Uint16(h[2:4])) }

// SetTCI sets the tag control information.
func (h *VLAN) SetTCI(tci uint16) { binary.BigEndian.PutUint16(h[0:2], tci) }

// SetType sets the EtherType of the payload.
func (h *VLAN) SetType(t EtherType) { binary.BigEndian.PutUint16(h[2:4], uint16(t)) }

// Encode fills the tag. The EtherType in front of it is the caller's.
func (h *VLAN) Encode(tci uint16, typ EtherType) {
	h.SetTCI(tci)
	h.SetType(typ)
}
