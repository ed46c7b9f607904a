// Go's gomemcache behind the words of loop.py:
//
//	gomemcache NAME HOST PORT PROTOCOL
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

var host, port = os.Args[2], os.Args[3]

func main() {
	client := connect()
	// The library does not know its version.
	fmt.Println("ready - get,multi,set,add,replace,cas,incr,decr,delete,touch,flush")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if words[0] != "open" {
			fmt.Println(told(client, words[0], words[1:]))
			continue
		}
		if len(words) > 1 {
			port = words[1]
		}
		client = connect()
		fmt.Println("ok")
	}
}

func connect() *memcache.Client {
	client := memcache.New(host + ":" + port)
	client.Timeout = 30 * time.Second
	return client
}

func told(client *memcache.Client, command string, keys []string) string {
	result, err := call(client, command, keys)
	switch {
	case errors.Is(err, memcache.ErrCacheMiss) && command == "get":
		return "miss"
	case errors.Is(err, memcache.ErrCacheMiss), errors.Is(err, memcache.ErrNotStored), errors.Is(err, memcache.ErrCASConflict):
		return "false"
	case err != nil:
		return "raised error: " + strings.Join(strings.Fields(err.Error()), " ")
	}
	return result
}

func call(client *memcache.Client, command string, keys []string) (string, error) {
	if command == "flush" {
		return "true", client.FlushAll()
	}
	key := keys[0]
	item := &memcache.Item{Key: key, Value: []byte("1")}
	switch command {
	case "get":
		return value(client.Get(key))
	case "multi":
		return values(client, keys)
	case "set":
		return "true", client.Set(item)
	case "add":
		return "true", client.Add(item)
	case "replace":
		return "true", client.Replace(item)
	case "cas":
		found, err := client.Get(key)
		if err != nil {
			return "", err
		}
		found.Value = item.Value
		return "true", client.CompareAndSwap(found)
	case "incr":
		return number(client.Increment(key, 1))
	case "decr":
		return number(client.Decrement(key, 1))
	case "delete":
		return "true", client.Delete(key)
	case "touch":
		return "true", client.Touch(key, 100)
	}
	return "", fmt.Errorf("no command %s", command)
}

func value(item *memcache.Item, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return "value " + string(item.Value), nil
}

func values(client *memcache.Client, keys []string) (string, error) {
	found, err := client.GetMulti(keys)
	var parts []string
	for _, key := range keys {
		if item := found[key]; item != nil {
			parts = append(parts, string(item.Value))
		}
	}
	return "values " + strings.Join(parts, ","), err
}

func number(count uint64, err error) (string, error) {
	return fmt.Sprintf("value %d", count), err
}
