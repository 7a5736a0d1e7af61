#include "dataplane_abi.h"
