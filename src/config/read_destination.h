// Reads how one destination of notifications is reached: the sections "webhook", "email" and
// "command". Pure.
#pragma once

#include "config/problems.h"
#include "config/yaml_tree.h"
#include "notify/destination.h"

namespace pitr {

// In messages neither URLs nor secrets are repeated.
WebhookOptions read_webhook(const YamlNode& node, Problems& problems);
EmailOptions read_email(const YamlNode& node, Problems& problems);
CommandOptions read_command(const YamlNode& node, Problems& problems);

}  // namespace pitr
