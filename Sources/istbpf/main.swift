// istbpf
