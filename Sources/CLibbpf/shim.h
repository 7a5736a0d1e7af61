/* libbpf and the kernel's BPF interface, for the target Dataplane alone. */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
