// The plainest reverse proxy of Go's standard library.
// usage: proxy PORT NAME=ADDRESS...    ADDRESS: tcp:host:port or unix:/path
package main

import (
	"context"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"
)

func proxyTo(address string) *httputil.ReverseProxy {
	parts := strings.SplitN(address, ":", 2)
	dialer := &net.Dialer{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "upstream"})
	proxy.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, parts[0], parts[1])
		},
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: 1024,
		IdleConnTimeout:     time.Hour,
		DisableCompression:  true,
	}
	return proxy
}

func main() {
	mux := http.NewServeMux()
	for _, pair := range os.Args[2:] {
		name, address, _ := strings.Cut(pair, "=")
		mux.Handle("/function/"+name, proxyTo(address))
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], mux))
}
