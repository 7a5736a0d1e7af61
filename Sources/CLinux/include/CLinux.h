/* Linux interfaces that Glibc's module does not offer to Swift. One prefix, linux_. */
#pragma once
