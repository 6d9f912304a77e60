// Command compress sends an image to a running service and writes the result.
//
//	compress [-address HOST:PORT] [-quality N] [-effort fast|balanced|best] IN OUT
//
// It needs code that protoc generates from the proto file. With Go modules, in a folder with this file:
//
//	go mod init compressor
//	protoc -IPROTO --go_out=.. --go_opt=Mcompressor/v1/compressor.proto=compressor/v1 \
//	    --go-grpc_out=.. --go-grpc_opt=Mcompressor/v1/compressor.proto=compressor/v1 compressor/v1/compressor.proto
//	go mod tidy && go build
//
// The folder must have the name compressor; PROTO is the folder proto of the repository. build.sh does the same with
// Debian's packages, without modules.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "compressor/v1"
)

const (
	chunkBytes     = 256 << 10
	connectTimeout = 5 * time.Second
	usage          = "usage: compress [-address HOST:PORT] [-quality N] [-effort fast|balanced|best] IN OUT"
)

func main() {
	address := flag.String("address", "127.0.0.1:50051", "of the service")
	quality := flag.Uint("quality", 0, "from 1 to 100; 0: the default of the service")
	effort := flag.String("effort", "", "fast, balanced or best")
	flag.Usage = func() { fmt.Fprintln(os.Stderr, usage); flag.PrintDefaults() }
	flag.Parse()
	number := pb.Effort_value["EFFORT_"+strings.ToUpper(*effort)] // 0, EFFORT_UNSPECIFIED, if there is no such effort
	if flag.NArg() != 2 || *quality > 100 || (*effort != "" && number == 0) {
		flag.Usage()
		os.Exit(2)
	}
	settings := &pb.Settings{Effort: pb.Effort(number)}
	if *quality != 0 {
		settings.Quality = proto.Uint32(uint32(*quality))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	source, target := flag.Arg(0), flag.Arg(1)
	report, err := compressFile(ctx, *address, settings, source, target)
	if err != nil {
		fmt.Fprintln(os.Stderr, "compress:", describe(err))
		os.Exit(1)
	}
	saved := 100 * (1 - float64(report.BytesOut)/float64(report.BytesIn))
	fmt.Printf("%s: %d -> %d bytes, %.1f %% saved\n", source, report.BytesIn, report.BytesOut, saved)
	for _, notice := range report.Notices {
		fmt.Println(" ", notice)
	}
}

// describe returns the message of an error, without gRPC's frame around that of a status.
func describe(err error) string {
	if found, ok := status.FromError(err); ok {
		return found.Message()
	}
	return err.Error()
}

// compressFile writes the result under its name when it is complete; until then to a file that does not outlive a failure.
func compressFile(
	ctx context.Context, address string, settings *pb.Settings, source, target string,
) (report *pb.Report, err error) {
	in, err := os.Open(source)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	connection, err := connect(ctx, address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	temporary := fmt.Sprintf("%s.%d.part", target, os.Getpid())
	out, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	defer os.Remove(temporary) // fails once it was renamed
	report, err = compress(ctx, pb.NewCompressorServiceClient(connection), settings, in, out)
	if closed := out.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temporary, target)
	}
	return report, err
}

// connect waits for the connection, so that a service that is not there has an error of its own.
func connect(ctx context.Context, address string) (*grpc.ClientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	connection, err := grpc.DialContext(ctx, address, grpc.WithInsecure(), grpc.WithBlock(),
		grpc.FailOnNonTempDialError(true), grpc.WithReturnConnectionError())
	if err != nil {
		advice := "start one with `compressor serve`, or give -address"
		return nil, fmt.Errorf("no service at %s: %s (%w)", address, advice, err)
	}
	return connection, nil
}

// compress sends an image and receives its result at the same time: the service stops reading while nobody reads.
func compress(
	ctx context.Context, client pb.CompressorServiceClient, settings *pb.Settings, in io.Reader, out io.Writer,
) (*pb.Report, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the call if one side fails
	defer cancel()
	call, err := client.Compress(ctx)
	if err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() {
		err := upload(call, settings, in)
		if err != nil {
			cancel()
		}
		sent <- err
	}()
	report, err := download(call, out)
	if err != nil {
		cancel()
		if failed := <-sent; failed != nil {
			return nil, failed
		}
		return nil, err
	}
	return report, nil
}

// upload sends the settings, the chunks and `finish`. Only an error of the source is returned: `download` has that of
// the call.
func upload(call pb.CompressorService_CompressClient, settings *pb.Settings, in io.Reader) error {
	if call.Send(&pb.CompressRequest{Part: &pb.CompressRequest_Settings{Settings: settings}}) != nil {
		return nil
	}
	total, buffer := uint64(0), make([]byte, chunkBytes)
	for {
		count, err := in.Read(buffer)
		if count > 0 {
			total += uint64(count)
			if call.Send(&pb.CompressRequest{Part: &pb.CompressRequest_Chunk{Chunk: buffer[:count]}}) != nil {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	finish := &pb.Finish{TotalBytes: total}
	if call.Send(&pb.CompressRequest{Part: &pb.CompressRequest_Finish{Finish: finish}}) == nil {
		_ = call.CloseSend()
	}
	return nil
}

// download receives the source, chunks and the report; or a failure, in band, because the status may be lost while we
// still write. Without a report the result is not complete.
func download(call pb.CompressorService_CompressClient, out io.Writer) (*pb.Report, error) {
	total := uint64(0)
	for {
		response, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the response ended without a report")
		}
		if err != nil {
			return nil, err
		}
		switch part := response.Part.(type) {
		case *pb.CompressResponse_Failure:
			return nil, status.Error(codes.Code(part.Failure.Code), part.Failure.Message)
		case *pb.CompressResponse_Chunk:
			total += uint64(len(part.Chunk))
			if _, err := out.Write(part.Chunk); err != nil {
				return nil, err
			}
		case *pb.CompressResponse_Report:
			if part.Report.BytesOut != total {
				return nil, errors.New("the response is not complete")
			}
			return part.Report, nil
		}
	}
}
