// A bootstrap by hand that does as its events say, rightly or wrongly.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

var base = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/"

// What the API said to the last thing that was wrong.
var last = "nothing"

func post(path, kind, body string) string {
	request, _ := http.NewRequest("POST", base+path, bytes.NewBufferString(body))
	if kind != "" {
		request.Header.Set("Lambda-Runtime-Function-Error-Type", kind)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer reply.Body.Close()
	var said struct{ ErrorType string }
	_ = json.NewDecoder(reply.Body).Decode(&said)
	return fmt.Sprintf("%d %s", reply.StatusCode, said.ErrorType)
}

// Bytes, then an error in the trailers.
func streamAndFail(id string) {
	reader, writer := io.Pipe()
	request, _ := http.NewRequest("POST", base+"invocation/"+id+"/response", reader)
	request.Header.Set("Lambda-Runtime-Function-Response-Mode", "streaming")
	request.Trailer = http.Header{"Lambda-Runtime-Function-Error-Type": nil,
		"Lambda-Runtime-Function-Error-Body": nil}
	go func() {
		_, _ = writer.Write([]byte("begun"))
		document := `{"errorType":"HalfWay","errorMessage":"no more"}`
		request.Trailer.Set("Lambda-Runtime-Function-Error-Type", "Function.HalfWay")
		request.Trailer.Set("Lambda-Runtime-Function-Error-Body",
			base64.StdEncoding.EncodeToString([]byte(document)))
		writer.Close()
	}()
	reply, err := http.DefaultClient.Do(request)
	if err == nil {
		reply.Body.Close()
	}
}

func main() {
	if os.Getenv("INIT") == "error" {
		post("init/error", "Runtime.NoConfig", `{"errorType":"NoConfig","errorMessage":"not today"}`)
		os.Exit(1)
	}
	if os.Getenv("INIT") == "never" {
		time.Sleep(time.Hour)
	}
	started := fmt.Sprintf("%d", time.Now().UnixNano())
	for {
		reply, err := http.Get(base + "invocation/next")
		if err != nil {
			os.Exit(1)
		}
		body, _ := io.ReadAll(reply.Body)
		reply.Body.Close()
		id := reply.Header.Get("Lambda-Runtime-Aws-Request-Id")
		var event struct{ Do string }
		_ = json.Unmarshal(body, &event)
		answer := "invocation/" + id + "/response"
		switch event.Do {
		case "raise":
			post("invocation/"+id+"/error", "Function.Wanted", `{"errorType":"Wanted","errorMessage":"as wanted"}`)
		case "exit":
			os.Exit(3)
		case "hang":
			time.Sleep(time.Hour)
		case "no json":
			post(answer, "", "{not json")
		case "twice":
			post(answer, "", `"first"`)
			last = post(answer, "", `"second"`)
		case "wrong id":
			last = post("invocation/11111111-2222-3333-4444-555555555555/response", "", `"nobody's"`)
			post(answer, "", `"mine"`)
		case "stream and fail":
			streamAndFail(id)
		case "never next":
			post(answer, "", `"answered"`)
			time.Sleep(time.Hour)
		case "last":
			post(answer, "", fmt.Sprintf("%q", last))
		default:
			post(answer, "", fmt.Sprintf("%q", started))
		}
	}
}
