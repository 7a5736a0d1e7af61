/* IDNA 2008: the host name of a service whose name is not ASCII. */
#pragma once
#include <idn2.h>
