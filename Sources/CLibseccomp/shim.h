/* libseccomp: the filter of socket families under which an instance's command runs. */
#pragma once
#include <seccomp.h>
