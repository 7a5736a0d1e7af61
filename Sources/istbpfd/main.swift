// istbpfd
