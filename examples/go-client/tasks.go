package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "example.org/millstream/v1"
)

const pieceBytes = 1 << 20

// Sends files as one task: a header, then the head of each file and its bytes in pieces.
func upload(ctx context.Context, tasks pb.TaskServiceClient, knowledgeBase string, files []string) (string, error) {
	stream, err := tasks.SubmitTask(ctx)
	if err != nil {
		return "", err
	}
	header := &pb.TaskHeader{KnowledgeBaseId: knowledgeBase}
	err = stream.Send(&pb.SubmitTaskRequest{Part: &pb.SubmitTaskRequest_Header{Header: header}})
	for _, file := range files {
		if err != nil {
			break
		}
		err = send(stream, file)
	}
	// io.EOF says that the service has answered already: CloseAndRecv tells what.
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	submitted, err := stream.CloseAndRecv()
	if err != nil {
		return "", err
	}
	fmt.Printf("task %s\n", submitted.TaskId)
	return submitted.TaskId, nil
}

func send(stream pb.TaskService_SubmitTaskClient, path string) error {
	content, err := os.Open(path)
	if err != nil {
		return err
	}
	defer content.Close()
	head := &pb.FileHead{Filename: filepath.Base(path)}
	if err := stream.Send(&pb.SubmitTaskRequest{Part: &pb.SubmitTaskRequest_File{File: head}}); err != nil {
		return err
	}
	piece := make([]byte, pieceBytes)
	for {
		read, err := content.Read(piece)
		if read > 0 {
			part := &pb.SubmitTaskRequest_Data{Data: piece[:read]}
			if err := stream.Send(&pb.SubmitTaskRequest{Part: part}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Prints every state of a task to its last; a stream that breaks goes on from its cursor.
func watch(ctx context.Context, tasks pb.TaskServiceClient, task string) error {
	cursor := ""
	for {
		states, err := tasks.WatchTask(ctx, &pb.WatchTaskRequest{TaskId: task, Cursor: cursor})
		if err == nil {
			err = print(states, &cursor)
		}
		if err == nil || status.Code(err) != codes.Unavailable || ctx.Err() != nil {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

func print(states pb.TaskService_WatchTaskClient, cursor *string) error {
	for {
		told, err := states.Recv()
		if errors.Is(err, io.EOF) {
			return nil // behind the last state
		}
		if err != nil {
			return err
		}
		if told.Cursor != "" {
			*cursor = told.Cursor
		}
		switch state := told.State.(type) {
		case *pb.WatchTaskResponse_Task:
			fmt.Printf("%s %3.0f %%\n", state.Task.Phase, 100*state.Task.Progress)
		case *pb.WatchTaskResponse_Document:
			fmt.Printf("  %s %s\n", state.Document.Filename, state.Document.Phase)
		}
	}
}

func cancel(ctx context.Context, tasks pb.TaskServiceClient, task, reason string) error {
	cancelled, err := tasks.CancelTask(ctx, &pb.CancelTaskRequest{TaskId: task, Reason: reason})
	if err != nil {
		return err
	}
	fmt.Println(cancelled.Message)
	return nil
}
