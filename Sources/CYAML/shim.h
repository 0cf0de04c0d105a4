// libyaml, as the system has it. A Swift wrapper would bring all of Foundation with it.
#include <yaml.h>
