#!/bin/sh
# Builds the example with Debian's packages, without Go modules: examples/go/build.sh OUT
#
#     apt-get install golang-go golang-google-grpc-dev golang-github-golang-protobuf-1-5-dev \
#         protobuf-compiler protoc-gen-go protoc-gen-go-grpc
set -eu
example=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=$work/src/compressor
mkdir -p "$source"
cp "$example/main.go" "$source"
package=Mcompressor/v1/compressor.proto=compressor/v1 # the import path of the generated code
protoc -I"$example/../../proto" --go_out="$work/src" --go_opt="$package" \
    --go-grpc_out="$work/src" --go-grpc_opt="$package" compressor/v1/compressor.proto
GO111MODULE=off GOPATH=$work:/usr/share/gocode go build -o "$1" compressor
