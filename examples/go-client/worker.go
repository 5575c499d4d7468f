package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "example.org/millstream/v1"
)

const (
	answerTries     = 5
	renewalsALease  = 3
	callsTimeout    = time.Minute
	pauseAfterError = time.Second
)

// Polls until told to stop. What is in hand then is handed back.
func work(ctx context.Context, tasks pb.TaskServiceClient) error {
	for {
		err := poll(ctx, tasks)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !isOutage(err) {
			return err
		}
		if err != nil {
			log.Print(told(err)) // the service is away, or being stopped
		}
		if pause(ctx) != nil {
			return nil
		}
	}
}

func poll(ctx context.Context, tasks pb.TaskServiceClient) error {
	request := &pb.PollStepsRequest{Steps: []pb.Step{pb.Step_STEP_PARSE}, Worker: "go", Slots: 1}
	deliveries, err := tasks.PollSteps(ctx, request)
	if err != nil {
		return err
	}
	if _, err := deliveries.Header(); err != nil {
		return err
	}
	fmt.Println("polling")
	for {
		delivery, err := deliveries.Recv()
		if errors.Is(err, io.EOF) {
			return nil // a lease ran out: poll anew
		}
		if err != nil {
			return err
		}
		if err := parse(ctx, tasks, delivery); err != nil {
			log.Print(told(err)) // lease_lost: another one is at it
			continue
		}
		fmt.Printf("parsed %s, attempt %d\n", delivery.GetParse().Filename, delivery.Attempt)
	}
}

func parse(ctx context.Context, tasks pb.TaskServiceClient, delivery *pb.Delivery) error {
	working, done := context.WithCancel(ctx)
	defer done()
	go renew(working, done, tasks, delivery)
	content, err := source(working, tasks, delivery.Lease)
	if err != nil {
		if ctx.Err() != nil {
			return handBack(tasks, delivery.Lease, ctx)
		}
		return err
	}
	// Put your parser here.
	parsed := &pb.ParsedText{Parser: "go-client 1", Pages: []*pb.PageText{{Text: string(content)}}}
	return complete(working, tasks, &pb.CompleteStepRequest{
		Lease: delivery.Lease, Result: &pb.CompleteStepRequest_Parsed{Parsed: parsed},
	})
}

// Renews a lease until the work is done, and ends the work where the lease is lost.
func renew(ctx context.Context, lost context.CancelFunc, tasks pb.TaskServiceClient, delivery *pb.Delivery) {
	renewal := time.NewTicker(delivery.LeaseDuration.AsDuration() / renewalsALease)
	defer renewal.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-renewal.C:
			_, err := tasks.ReportProgress(ctx, &pb.ReportProgressRequest{Lease: delivery.Lease})
			if err != nil && codeOf(err) == "lease_lost" {
				lost()
				return
			}
		}
	}
}

func source(ctx context.Context, tasks pb.TaskServiceClient, lease string) ([]byte, error) {
	pieces, err := tasks.ReadSource(ctx, &pb.ReadSourceRequest{Lease: lease})
	if err != nil {
		return nil, err
	}
	var content []byte
	for {
		piece, err := pieces.Recv()
		if errors.Is(err, io.EOF) {
			return content, nil
		}
		if err != nil {
			return nil, err
		}
		content = append(content, piece.Data...)
	}
}

// An answer may be repeated, at any process of the service: the same lease gets the same verdict.
func complete(ctx context.Context, tasks pb.TaskServiceClient, request *pb.CompleteStepRequest) error {
	for tries := 1; ; tries++ {
		timed, done := context.WithTimeout(ctx, callsTimeout)
		_, err := tasks.CompleteStep(timed, request)
		done()
		if err == nil || !isOutage(err) || tries == answerTries {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// worker_stopped gives the work to others at once, and counts as no attempt. The key of the call goes along.
func handBack(tasks pb.TaskServiceClient, lease string, stopped context.Context) error {
	ctx, done := context.WithTimeout(detached{stopped}, callsTimeout)
	defer done()
	_, err := tasks.FailStep(ctx, &pb.FailStepRequest{Lease: lease, Code: "worker_stopped"})
	return err
}

// What a context holds, without its end.
type detached struct{ context.Context }

func (detached) Deadline() (time.Time, bool) { return time.Time{}, false }
func (detached) Done() <-chan struct{}       { return nil }
func (detached) Err() error                  { return nil }

// Whether the same call may work in a moment.
func isOutage(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted:
		return true
	}
	return false
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pauseAfterError):
		return nil
	}
}
