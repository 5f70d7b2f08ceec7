// Whether JSON is as a schema of an OpenAPI file says: the keywords that pitr's file uses, and an
// error for any other, so that none is taken for checked. Pure.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>

namespace pitr::test {

class JsonSchema {
 public:
  using Json = nlohmann::json;
  explicit JsonSchema(const Json& document) : document_(document) {}

  // "" where it is right; else where it isn't, and why.
  std::string problem(const Json& schema, const Json& value, const std::string& at = "$") const {
    if (schema.contains("$ref")) return problem(resolve(schema), value, at);
    for (const auto& [keyword, unused] : schema.items()) {
      static const std::set<std::string> kKnown{
          "type",  "properties",  "required",  "items",   "enum",   "additionalProperties",
          "oneOf", "description", "maxLength", "minimum", "maximum"};
      if (!kKnown.contains(keyword)) throw std::runtime_error("a schema with " + keyword);
    }
    if (schema.contains("oneOf")) return one_of(schema.at("oneOf"), value, at);
    if (schema.contains("type") && !has_type(schema.at("type"), value)) {
      return fmt::format("{}: {} is not of type {}", at, value.dump(), schema.at("type").dump());
    }
    if (schema.contains("enum") && !contains(schema.at("enum"), value)) {
      return fmt::format("{}: {} is not one of {}", at, value.dump(), schema.at("enum").dump());
    }
    if (value.is_array() && schema.contains("items")) {
      for (std::size_t i = 0; i < value.size(); ++i) {
        const auto found = problem(schema.at("items"), value[i], fmt::format("{}[{}]", at, i));
        if (!found.empty()) return found;
      }
    }
    return value.is_object() ? members(schema, value, at) : "";
  }

 private:
  const Json& resolve(const Json& schema) const {
    const auto name = schema.at("$ref").get<std::string>();
    return document_.at(Json::json_pointer(name.substr(1)));
  }
  static bool contains(const Json& list, const Json& value) {
    return std::find(list.begin(), list.end(), value) != list.end();
  }
  static bool has_type(const Json& type, const Json& value) {
    if (type.is_array()) {
      return std::any_of(type.begin(), type.end(),
                         [&](const Json& one) { return has_type(one, value); });
    }
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    if (type == "boolean") return value.is_boolean();
    if (type == "null") return value.is_null();
    throw std::runtime_error("a type " + type.dump());
  }
  std::string one_of(const Json& choices, const Json& value, const std::string& at) const {
    int right = 0;
    std::string problems;
    for (const auto& choice : choices) {
      const auto found = problem(choice, value, at);
      right += found.empty();
      problems += "\n  " + found;
    }
    return right == 1 ? "" : fmt::format("{}: {} of the choices fit:{}", at, right, problems);
  }
  std::string members(const Json& schema, const Json& value, const std::string& at) const {
    const auto properties = schema.value("properties", Json::object());
    const auto others = schema.value("additionalProperties", Json(true));  // false, or a schema
    for (const auto& name : schema.value("required", Json::array())) {
      if (!value.contains(name.get<std::string>())) return at + " has no " + name.dump();
    }
    for (const auto& [name, member] : value.items()) {
      const bool is_named = properties.contains(name);
      if (is_named || others.is_object()) {
        const auto& one = is_named ? properties.at(name) : others;
        const auto found = problem(one, member, at + "." + name);
        if (!found.empty()) return found;
      } else if (!others.get<bool>()) {
        return at + " has " + name + ", which isn't described";
      }
    }
    return "";
  }

  const Json& document_;
};

}  // namespace pitr::test
