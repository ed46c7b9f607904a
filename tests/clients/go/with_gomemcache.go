// Go's gomemcache, as its documentation has it: the text protocol.
//
//	with_gomemcache 127.0.0.1 11211
//
// It prints `ok` and a name for each step that held.
package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

var (
	client    *memcache.Client
	namespace = fmt.Sprintf("ringway-%x:", random(6))
)

func main() {
	client = memcache.New(os.Args[1] + ":" + os.Args[2])
	client.Timeout = 10 * time.Second
	values()
	many()
	compareAndSwap()
	numbers()
	deletion()
	ends()
	server()
}

func values() {
	set("text", []byte("some text"), 100)
	equal("get", get("text"), "some text")
	absent("nothing")
	tried("set", "get")
	// Every byte, and what a text protocol could take for its own.
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	binary = append(binary, "\r\nEND\r\nVALUE x 0 1\r\nSERVER_ERROR\r\n\x00"...)
	set("bytes", binary, 100)
	holds("get of every byte", get("bytes") == string(binary))
	tried("binary-safe")
	large := random(900 * 1024)
	set("large", large, 100)
	holds("get of 900 KB", get("large") == string(large))
	tried("900 KB")
	check("set with flags", client.Set(&memcache.Item{Key: key("flags"), Value: []byte("v"), Flags: 0xffffffff}))
	item, err := client.Get(key("flags"))
	check("get with flags", err)
	equal("flags", item.Flags, uint32(0xffffffff))
	tried("flags")
}

func many() {
	names := []string{key("nothing")}
	for i := 0; i < 100; i++ {
		set(fmt.Sprintf("many:%d", i), []byte(fmt.Sprintf("value %d", i)), 100)
		names = append(names, key(fmt.Sprintf("many:%d", i)))
	}
	found, err := client.GetMulti(names)
	check("GetMulti", err)
	equal("as many as were stored", len(found), 100)
	for i, name := range names[1:] {
		holds(name, bytes.Equal(found[name].Value, []byte(fmt.Sprintf("value %d", i))))
	}
	tried("multi-get")
}

func compareAndSwap() {
	set("cas", []byte("first"), 100)
	item, err := client.Get(key("cas"))
	check("get before cas", err)
	item.Value = []byte("second")
	check("cas", client.CompareAndSwap(item))
	item.Value = []byte("third")
	equal("cas with an old token", client.CompareAndSwap(item), memcache.ErrCASConflict)
	equal("get after cas", get("cas"), "second")
	item.Key = key("nothing")
	equal("cas of nothing", client.CompareAndSwap(item), memcache.ErrCacheMiss)
	tried("cas")
}

func numbers() {
	_, err := client.Increment(key("number"), 1)
	equal("incr of nothing", err, memcache.ErrCacheMiss)
	set("number", []byte("10"), 100)
	number, err := client.Increment(key("number"), 32)
	check("incr", err)
	equal("incr", number, uint64(42))
	number, err = client.Decrement(key("number"), 2)
	check("decr", err)
	equal("decr", number, uint64(40))
	number, err = client.Decrement(key("number"), 100)
	check("decr", err)
	equal("decr stops at 0", number, uint64(0))
	tried("incr", "decr")
}

func deletion() {
	item := &memcache.Item{Key: key("deleted"), Value: []byte("v")}
	equal("replace of nothing", client.Replace(item), memcache.ErrNotStored)
	check("add", client.Add(item))
	equal("add again", client.Add(item), memcache.ErrNotStored)
	check("replace", client.Replace(item))
	tried("add", "replace")
	check("delete", client.Delete(item.Key))
	absent("deleted")
	equal("delete of nothing", client.Delete(item.Key), memcache.ErrCacheMiss)
	tried("delete")
}

// Keys that end after a second, that are told to, and that were to end and are told to stay.
func ends() {
	set("stays", []byte("v"), 3)
	set("gone", []byte("v"), 1)
	set("shortened", []byte("v"), 100)
	check("touch to stay", client.Touch(key("stays"), 100))
	check("touch to end", client.Touch(key("shortened"), 1))
	equal("touch of nothing", client.Touch(key("nothing"), 100), memcache.ErrCacheMiss)
	set("last", []byte("v"), 3)
	vanishes("gone")
	tried("expire")
	vanishes("shortened")
	vanishes("last")
	equal("get of what was touched to stay", get("stays"), "v")
	tried("touch")
}

func server() {
	check("flush_all", client.FlushAll())
	absent("text")
	tried("flush")
}

func vanishes(name string) {
	end := time.Now().Add(10 * time.Second)
	for time.Now().Before(end) {
		if _, err := client.Get(key(name)); err == memcache.ErrCacheMiss {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	absent(name)
}

func set(name string, value []byte, seconds int32) {
	check("set "+name, client.Set(&memcache.Item{Key: key(name), Value: value, Expiration: seconds}))
}

func get(name string) string {
	item, err := client.Get(key(name))
	check("get "+name, err)
	return string(item.Value)
}

func absent(name string) {
	_, err := client.Get(key(name))
	equal("get of "+name, err, memcache.ErrCacheMiss)
}

func key(name string) string {
	return namespace + name
}

func random(length int) []byte {
	bytes := make([]byte, length)
	_, err := rand.Read(bytes)
	check("random bytes", err)
	return bytes
}

func check(what string, err error) {
	equal(what, err, nil)
}

func holds(what string, claim bool) {
	equal(what, claim, true)
}

func equal(what string, got, wanted interface{}) {
	if got != wanted {
		fmt.Fprintf(os.Stderr, "gomemcache: %s: got %.200v, wanted %.200v\n", what, got, wanted)
		os.Exit(1)
	}
}

func tried(steps ...string) {
	for _, step := range steps {
		fmt.Println("ok", step)
	}
}
