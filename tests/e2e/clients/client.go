// SPDX-License-Identifier: LGPL-2.1-or-later
// usage: client rounds URL N HASHES -- does what client.py says, in four goroutines
//        client load URL N CONCURRENCY -- N requests for /echo with a nonce each, and prints how they went;
//               if N is a file's name, until that file exists

package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type client struct {
	http    *http.Client
	url     string
	mutex   sync.Mutex
	servers map[string]int
}

func newClient(url string, concurrency int) *client {
	transport := &http.Transport{MaxIdleConnsPerHost: concurrency, MaxConnsPerHost: concurrency}
	return &client{
		http:    &http.Client{Transport: transport, Timeout: 30 * time.Second},
		url:     url,
		servers: map[string]int{},
	}
}

func (c *client) do(method, path string, body []byte) (string, []byte, error) {
	request, err := http.NewRequest(method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return "", nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return "", nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return "", nil, err
	}
	server := response.Header.Get("X-Server")
	if response.StatusCode != 200 || server == "" {
		return "", nil, fmt.Errorf("%s %s: status %d, reason %q", method, path, response.StatusCode,
			response.Header.Get("X-Slicemesh"))
	}
	c.mutex.Lock()
	c.servers[server]++
	c.mutex.Unlock()
	return server, answer, nil
}

func (c *client) echo(nonce string) error {
	server, answer, err := c.do("GET", "/echo?"+nonce, nil)
	if err == nil && string(answer) != server+" "+nonce+"\n" {
		err = fmt.Errorf("sent %s, got %q from %s", nonce, answer, server)
	}
	return err
}

func (c *client) sum(method, path string, body []byte, check func([]byte) bool) error {
	_, answer, err := c.do(method, path, body)
	if err == nil && !check(answer) {
		err = fmt.Errorf("%s %s: %d bytes are not the right ones", method, path, len(answer))
	}
	return err
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func (c *client) round(number int, files []string, hashes map[string]string) error {
	file := files[number%len(files)]
	body := make([]byte, number*1009%200000)
	if _, err := rand.Read(body); err != nil {
		return err
	}
	isFile := func(a []byte) bool { return digest(a) == hashes[file] }
	if err := c.echo(fmt.Sprintf("%d-%d", os.Getpid(), number)); err != nil {
		return err
	}
	if err := c.sum("GET", "/file/"+file, nil, isFile); err != nil {
		return err
	}
	if err := c.sum("GET", "/chunked/"+file, nil, isFile); err != nil {
		return err
	}
	return c.sum("POST", "/sum", body, func(a []byte) bool { return string(a) == digest(body) })
}

// Calls one(0), one(1), ... while more() says so, from `concurrency` goroutines; returns the errors.
func spread(more func(int) bool, concurrency int, one func(int) error) []string {
	var next int64 = -1
	var mutex sync.Mutex
	var wait sync.WaitGroup
	var errors []string
	for i := 0; i < concurrency; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for {
				number := int(atomic.AddInt64(&next, 1))
				if !more(number) {
					return
				}
				if err := one(number); err != nil {
					mutex.Lock()
					errors = append(errors, err.Error())
					mutex.Unlock()
				}
			}
		}()
	}
	wait.Wait()
	return errors
}

func below(n int) func(int) bool {
	return func(number int) bool { return number < n }
}

func without(file string) func(int) bool {
	return func(int) bool {
		_, err := os.Stat(file)
		return err != nil
	}
}

func rounds(c *client, n int, list string) []string {
	hashes := map[string]string{}
	var files []string
	for _, pair := range strings.Split(list, ",") {
		file, hash, _ := strings.Cut(pair, "=")
		files = append(files, file)
		hashes[file] = hash
	}
	sort.Strings(files)
	return spread(below(n), 4, func(number int) error { return c.round(number, files, hashes) })
}

func fail(what any) {
	fmt.Fprintln(os.Stderr, what)
	os.Exit(1)
}

func main() {
	if len(os.Args) != 5 {
		fail("usage: client rounds|load URL N HASHES|CONCURRENCY")
	}
	n, err := strconv.Atoi(os.Args[3])
	more := below(n)
	if err != nil {
		more = without(os.Args[3])
	}
	if os.Args[1] == "rounds" {
		c := newClient(os.Args[2], 8)
		if errors := rounds(c, n, os.Args[4]); len(errors) > 0 {
			fail(errors[0])
		}
		json.NewEncoder(os.Stdout).Encode(c.servers)
		return
	}
	concurrency, err := strconv.Atoi(os.Args[4])
	if err != nil {
		fail(err)
	}
	c := newClient(os.Args[2], concurrency)
	started := time.Now()
	errors := spread(more, concurrency, func(number int) error {
		return c.echo(fmt.Sprintf("%d-%d", os.Getpid(), number))
	})
	first := errors
	if len(first) > 5 {
		first = first[:5]
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"servers": c.servers, "failed": len(errors),
		"errors": first, "seconds": time.Since(started).Seconds()})
}
