// A client of TaskService: uploads files, watches their task to its end, cancels it; and a worker that parses text.
//
//	go-client upload KNOWLEDGE_BASE FILE…
//	go-client watch TASK
//	go-client cancel TASK REASON
//	go-client work
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "example.org/millstream/v1"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if key := os.Getenv("MILLSTREAM_API_KEY"); key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	// Behind TLS: grpc.WithTransportCredentials(credentials.NewTLS(nil)).
	conn, err := grpc.Dial(address(), grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if err := run(ctx, pb.NewTaskServiceClient(conn), os.Args[1:]); err != nil {
		log.Fatal(told(err))
	}
}

func run(ctx context.Context, tasks pb.TaskServiceClient, args []string) error {
	switch {
	case len(args) > 2 && args[0] == "upload":
		task, err := upload(ctx, tasks, args[1], args[2:])
		if err != nil {
			return err
		}
		return watch(ctx, tasks, task)
	case len(args) == 2 && args[0] == "watch":
		return watch(ctx, tasks, args[1])
	case len(args) == 3 && args[0] == "cancel":
		return cancel(ctx, tasks, args[1], args[2])
	case len(args) == 1 && args[0] == "work":
		return work(ctx, tasks)
	}
	return fmt.Errorf("usage: go-client upload KB FILE… | watch TASK | cancel TASK REASON | work")
}

func address() string {
	if named := os.Getenv("MILLSTREAM_GRPC"); named != "" {
		return named
	}
	return "127.0.0.1:8322"
}

// What an error says, with the stable code that programs branch on.
func told(err error) string {
	if code := codeOf(err); code != "" {
		return fmt.Sprintf("%s: %s", code, status.Convert(err).Message())
	}
	return err.Error()
}

// The code of a problem, such as unknown_task; empty where the service said none.
func codeOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.Metadata["code"]
		}
	}
	return ""
}
