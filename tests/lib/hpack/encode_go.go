// SPDX-License-Identifier: Apache-2.0

// Fills a plan (plan.c) with blocks of the encoder that Go's HTTP/2 uses: encode_go <PLAN >BLOCKS
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"golang.org/x/net/http2/hpack"
)

const textMax = 1 << 20

var (
	in  = bufio.NewReaderSize(os.Stdin, 1<<20)
	out = bufio.NewWriterSize(os.Stdout, 1<<20)
)

func die(what interface{}) {
	fmt.Fprintln(os.Stderr, "encode_go:", what)
	os.Exit(1)
}

func get(n uint32) []byte {
	if n > textMax {
		die("a text is too long")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(in, b); err != nil {
		die(err)
	}
	return b
}

func getU32() uint32 {
	return binary.LittleEndian.Uint32(get(4))
}

func put(b []byte) {
	if _, err := out.Write(b); err != nil {
		die(err)
	}
}

func putU32(n uint32) {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], n)
	put(b[:])
}

func getFields() []hpack.HeaderField {
	fields := make([]hpack.HeaderField, binary.LittleEndian.Uint16(get(2)))
	for i := range fields {
		fields[i].Sensitive = get(1)[0]&1 != 0
		fields[i].Name = string(get(getU32()))
		fields[i].Value = string(get(getU32()))
	}
	return fields
}

func putFields(fields []hpack.HeaderField) {
	put([]byte{byte(len(fields)), byte(len(fields) >> 8)})
	for _, f := range fields {
		flags := byte(0)
		if f.Sensitive {
			flags = 1
		}
		put([]byte{flags})
		putU32(uint32(len(f.Name)))
		put([]byte(f.Name))
		putU32(uint32(len(f.Value)))
		put([]byte(f.Value))
	}
}

func putBlock(enc *hpack.Encoder, block *bytes.Buffer) {
	if getU32() != 0 {
		die("this plan has blocks already")
	}
	fields := getFields()
	block.Reset()
	for _, f := range fields {
		if err := enc.WriteField(f); err != nil {
			die(err)
		}
	}
	put([]byte{'B'})
	putU32(uint32(block.Len()))
	put(block.Bytes())
	putFields(fields)
}

func main() {
	var enc *hpack.Encoder
	var block bytes.Buffer

	magic := get(6)
	if string(magic) != "TTHB1\n" {
		die("not a plan")
	}
	put(magic)
	for {
		c, err := in.ReadByte()
		if err == io.EOF {
			break
		}
		switch {
		case err != nil:
			die(err)
		case c == 'R':
			enc = hpack.NewEncoder(&block)
			put([]byte{c})
		case c == 'T':
			n := getU32()
			enc.SetMaxDynamicTableSizeLimit(n)
			put([]byte{c})
			putU32(n)
		case c == 'S':
			enc.SetMaxDynamicTableSize(getU32())
		case c == 'B' && enc != nil:
			putBlock(enc, &block)
		default:
			die("an unknown record")
		}
	}
	if err := out.Flush(); err != nil {
		die(err)
	}
}
