package kdcfixture

// node is a DER element: a constructed one has children and no contents of its own.
type node struct {
	tag      byte
	contents []byte
	children []*node
	nested   bool // children are the contents, though the tag may be that of an OCTET STRING
}

// Mutate changes a DER message as ops says, three octets an operation, and encodes it again
// with correct lengths, so that a decoder is led to the places behind its length checks.
// Input that is not DER comes back with single octets changed.
func Mutate(msg, ops []byte) []byte {
	roots, ok := parseNodes(msg, 0)
	if !ok || len(roots) == 0 {
		out := append([]byte(nil), msg...)
		for i := 0; i+1 < len(ops) && len(out) > 0; i += 2 {
			out[int(ops[i])%len(out)] ^= ops[i+1]
		}
		return out
	}
	top := &node{children: roots, nested: true}
	for i := 0; i+2 < len(ops) && i < 3*16; i += 3 {
		var all []*node
		var parents []*node
		collect(top, &all, &parents)
		if len(all) == 0 {
			break
		}
		k := (int(ops[i])<<8 | int(ops[i+1])) % len(all)
		apply(all[k], parents[k], ops[i+2])
	}
	var out []byte
	for _, n := range top.children {
		out = n.encode(out)
	}
	return out
}

func parseNodes(b []byte, depth int) ([]*node, bool) {
	if depth > 40 {
		return nil, false
	}
	var out []*node
	for len(b) > 0 {
		if len(b) < 2 {
			return nil, false
		}
		n, size := int(b[1]), 2
		if n >= 0x80 {
			octets := n & 0x7f
			if octets == 0 || octets > 3 || len(b) < 2+octets {
				return nil, false
			}
			n = 0
			for _, c := range b[2 : 2+octets] {
				n = n<<8 | int(c)
			}
			size += octets
		}
		if n > len(b)-size {
			return nil, false
		}
		e := &node{tag: b[0], contents: b[size : size+n]}
		if b[0]&0x20 != 0 || b[0] == 0x04 && n > 4 {
			if kids, ok := parseNodes(e.contents, depth+1); ok {
				e.children, e.nested = kids, true
			}
		}
		out = append(out, e)
		b = b[size+n:]
	}
	return out, true
}

func collect(n *node, all, parents *[]*node) {
	for _, c := range n.children {
		*all = append(*all, c)
		*parents = append(*parents, n)
		if c.nested {
			collect(c, all, parents)
		}
	}
}

// apply does one operation to n, whose parent is p.
func apply(n, p *node, op byte) {
	at := 0
	for i, c := range p.children {
		if c == n {
			at = i
		}
	}
	arg := op >> 4
	switch op & 0x0f {
	case 0: // drop
		p.children = append(p.children[:at:at], p.children[at+1:]...)
	case 1: // double
		p.children = append(p.children[:at+1:at+1], p.children[at:]...)
	case 2: // empty
		n.children, n.contents, n.nested = nil, nil, false
	case 3: // shorten
		n.flatten()
		n.contents = n.contents[:len(n.contents)*int(arg)/16]
	case 4: // lengthen
		n.flatten()
		n.contents = append(n.contents[:len(n.contents):len(n.contents)], make([]byte, int(arg)+1)...)
	case 5:
		n.tag ^= 1 << (arg & 7)
	case 6: // next to the last sibling
		last := len(p.children) - 1
		p.children[at], p.children[last] = p.children[last], p.children[at]
	case 7: // flip
		n.flatten()
		n.contents = append([]byte(nil), n.contents...)
		if len(n.contents) > 0 {
			n.contents[int(arg)%len(n.contents)] ^= 0x80 | arg
		}
	case 8: // extreme integer
		n.nested, n.contents = false, []byte{0x7f, 0xff, 0xff, 0xff}
	case 9:
		n.nested, n.contents = false, []byte{0x80, 0, 0, 0}
	case 10:
		n.nested, n.contents = false, []byte{0, 0xff, 0xff, 0xff, 0xff}
	case 11: // wrap
		inner := *n
		n.children, n.nested, n.contents = []*node{&inner}, true, nil
	case 12: // zero octets
		n.nested, n.contents = false, make([]byte, arg)
	default: // small value
		n.nested, n.contents = false, []byte{arg}
	}
}

func (n *node) flatten() {
	if !n.nested {
		return
	}
	var b []byte
	for _, c := range n.children {
		b = c.encode(b)
	}
	n.contents, n.children, n.nested = b, nil, false
}

func (n *node) encode(dst []byte) []byte {
	body := n.contents
	if n.nested {
		body = nil
		for _, c := range n.children {
			body = c.encode(body)
		}
	}
	dst = append(dst, n.tag)
	switch l := len(body); {
	case l < 0x80:
		dst = append(dst, byte(l))
	case l < 0x100:
		dst = append(dst, 0x81, byte(l))
	case l < 0x10000:
		dst = append(dst, 0x82, byte(l>>8), byte(l))
	default:
		dst = append(dst, 0x83, byte(l>>16), byte(l>>8), byte(l))
	}
	return append(dst, body...)
}
