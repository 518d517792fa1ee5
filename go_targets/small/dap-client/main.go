// Requests on standard input go to the adapter, what comes from it to standard output, one JSON object a line.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"

	"github.com/google/go-dap"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func connected(how, address string) net.Conn {
	if how == "connect" {
		conn, err := net.Dial("tcp", address)
		check(err)
		return conn
	}
	listener, err := net.Listen("tcp", address)
	check(err)
	fmt.Println(listener.Addr())
	conn, err := listener.Accept()
	check(err)
	return conn
}

func main() {
	conn := connected(os.Args[1], os.Args[2])
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		lines.Buffer(nil, 1<<24)
		for lines.Scan() {
			message, err := dap.DecodeProtocolMessage(lines.Bytes())
			check(err)
			check(dap.WriteProtocolMessage(conn, message))
		}
		conn.Close()
	}()
	reader, out := bufio.NewReader(conn), bufio.NewWriter(os.Stdout)
	for {
		message, err := dap.ReadProtocolMessage(reader)
		if err != nil {
			return // the adapter has ended the session
		}
		line, err := json.Marshal(message)
		check(err)
		fmt.Fprintf(out, "%s\n", line)
		check(out.Flush())
	}
}
