// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Messages are plain text, so nothing has to be generated.
type textCodec struct{}

func (textCodec) Name() string                  { return "text" }
func (textCodec) Marshal(v any) ([]byte, error) { return []byte(*v.(*string)), nil }
func (textCodec) Unmarshal(b []byte, v any) error {
	*v.(*string) = string(b)
	return nil
}

// Call credentials, as an OAuth source would give them; on plain connections too, unlike that one.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}
func (bearer) RequireTransportSecurity() bool { return false }

type grpcClient struct {
	dial func() (*grpc.ClientConn, error)
	conn *grpc.ClientConn
}

func newGRPCClient(args []string) (client, error) {
	roots, err := rootsFrom(args)
	if err != nil {
		return nil, err
	}
	transport := insecure.NewCredentials()
	if roots != nil {
		transport = credentials.NewClientTLSFromCert(roots, "")
	}
	dial := func() (*grpc.ClientConn, error) {
		return grpc.NewClient(args[0], grpc.WithTransportCredentials(transport),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(textCodec{})))
	}
	conn, err := dial()
	return &grpcClient{dial, conn}, err
}

func (c *grpcClient) renew() {
	c.conn.Close()
	c.conn, _ = c.dial()
}

func (c *grpcClient) ask(kind, code, token string) (string, error) {
	call := grpc.PerRPCCredentials(bearer(token))
	var text string
	var err error
	if kind == "unary" {
		err = c.conn.Invoke(context.Background(), "/tokentrail.Peer/Unary", &code, &text, call)
	} else {
		text, err = c.stream(code, call)
	}
	if err != nil && status.Code(err) == codes.Unavailable {
		return "", err
	}
	if err != nil {
		text = status.Convert(err).Message()
	}
	return fmt.Sprint(int(status.Code(err)), " ", text), nil
}

func (c *grpcClient) stream(code string, call grpc.CallOption) (string, error) {
	s, err := c.conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true},
		"/tokentrail.Peer/Stream", call)
	if err != nil {
		return "", err
	}
	if err := errors.Join(s.SendMsg(&code), s.CloseSend()); err != nil {
		return "", err
	}
	var text string
	for {
		if err := s.RecvMsg(&text); err == io.EOF {
			return text, nil
		} else if err != nil {
			return "", err
		}
	}
}

// outcome is the answer's text and the error that the asked code stands for.
func outcome(ctx context.Context, asked string) (string, error) {
	from, _ := peer.FromContext(ctx)
	_, port, _ := net.SplitHostPort(from.Addr.String())
	if md, ok := metadata.FromIncomingContext(ctx); !ok || len(md.Get("authorization")) != 1 {
		return "", status.Error(codes.Internal, "no credential came")
	}
	code, err := strconv.Atoi(asked)
	if err != nil {
		return "", status.Error(codes.Internal, "no code")
	}
	if code != 0 {
		return "", status.Error(codes.Code(code), port)
	}
	return port, nil
}

func unary(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var asked string
	if err := decode(&asked); err != nil {
		return nil, err
	}
	text, err := outcome(ctx, asked)
	return &text, err
}

func stream(_ any, s grpc.ServerStream) error {
	var asked string
	if err := s.RecvMsg(&asked); err != nil {
		return err
	}
	text, err := outcome(s.Context(), asked)
	for range 3 {
		if err := s.SendMsg(&text); err != nil {
			return err
		}
	}
	return err
}

func serveGRPC(args []string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.ForceServerCodec(textCodec{}))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "tokentrail.Peer",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
		Streams:     []grpc.StreamDesc{{StreamName: "Stream", Handler: stream, ServerStreams: true}},
	}, struct{}{})
	return s.Serve(listener)
}
