// Asks gomemcache's own selector where keys go; reads and writes as Spymemcached.java does.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/bradfitz/gomemcache/memcache"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	var count int
	in.Scan()
	fmt.Sscanf(in.Text(), "keys %d", &count)
	keys := make([]string, count)
	for i := range keys {
		in.Scan()
		raw, err := hex.DecodeString(in.Text())
		if err != nil {
			panic(err)
		}
		keys[i] = string(raw)
	}
	for in.Scan() {
		var preset string
		fmt.Sscanf(in.Text(), "case %s %d", &preset, &count)
		servers := make([]string, count)
		index := map[string]int{}
		for i := range servers {
			in.Scan()
			words := strings.Fields(in.Text())
			servers[i] = words[1] + ":" + words[2]
			index[servers[i]] = i
		}
		list := new(memcache.ServerList)
		if err := list.SetServers(servers...); err != nil {
			panic(err)
		}
		for _, key := range keys {
			address, err := list.PickServer(key)
			if err != nil {
				panic(err)
			}
			fmt.Fprint(out, index[address.String()], " ")
		}
		fmt.Fprintln(out)
	}
}
