"""Calls a runtime's CRI: cri.py SOCKET METHOD [REQUEST], where REQUEST is the message in JSON. Prints the response so."""
import importlib
import pathlib
import subprocess
import sys
import tempfile

import grpc
from google.protobuf import json_format


def messages():
    """The module that protoc makes of cri.proto."""
    source = pathlib.Path(__file__).parent
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["protoc", f"--proto_path={source}", f"--python_out={directory}", "cri.proto"], check=True)
        sys.path.insert(0, directory)
        sys.dont_write_bytecode = True
        return importlib.import_module("cri_pb2")


def main(socket, name, text="{}"):
    service = messages().DESCRIPTOR.services_by_name["RuntimeService"]
    method = service.methods_by_name[name]
    with grpc.insecure_channel(f"unix://{socket}") as channel:
        call = channel.unary_unary(
            f"/{service.full_name}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=method.output_type._concrete_class.FromString)
        try:
            response = call(json_format.Parse(text, method.input_type._concrete_class()), timeout=60)
        except grpc.RpcError as error:
            sys.exit(f"{error.code().name}: {error.details()}")
    print(json_format.MessageToJson(response, preserving_proto_field_name=True, including_default_value_fields=True, indent=None))


main(*sys.argv[1:])
