#include "server/http/host_check.h"

#include <algorithm>

namespace cairn::server {
namespace {

std::string_view without_port(std::string_view host) {
    if (!host.empty() && host.front() == '[') {
        return host.substr(0, std::min(host.find(']'), host.size() - 1) + 1);
    }
    return host.substr(0, host.find(':'));
}

// Four decimal numbers up to 255. Other spellings (0x7f.1, 2130706433) count as names.
bool is_ipv4(std::string_view text) {
    for (int part = 0; part < 4; ++part) {
        std::size_t digits = 0;
        int number = 0;
        while (digits < text.size() && digits < 4 && text[digits] >= '0' && text[digits] <= '9') {
            number = number * 10 + (text[digits] - '0');
            ++digits;
        }
        if (digits == 0 || digits > 3 || number > 255) {
            return false;
        }
        text.remove_prefix(digits);
        if (part < 3) {
            if (text.empty() || text.front() != '.') {
                return false;
            }
            text.remove_prefix(1);
        }
    }
    return text.empty();
}

bool same_name(std::string_view a, std::string_view b) {
    if (a.size() > 1 && a.back() == '.') {
        a.remove_suffix(1);
    }
    return equal_ignoring_case(a, b);
}

}  // namespace

bool host_allowed(std::string_view host, const std::vector<std::string>& allowed_names) {
    const auto name = without_port(host);
    if (name.empty()) {
        return false;
    }
    if (name.front() == '[' || is_ipv4(name) || same_name(name, "localhost")) {
        return true;
    }
    return std::any_of(
        allowed_names.begin(), allowed_names.end(),
        [name](const std::string& allowed) { return same_name(name, without_port(allowed)); });
}

bool origin_allowed(const HttpRequest& request, const AllowedOrigins& allowed) {
    auto origin = request.header("Origin");
    if (origin.data() == nullptr) {
        // Every browser that leaves Origin out says by this where the request comes from.
        const auto site = request.header("Sec-Fetch-Site");
        return site.data() == nullptr || site == "same-origin" || site == "none";
    }
    if (allowed.contain(origin)) {
        return true;
    }
    for (std::string_view scheme : {"http://", "https://"}) {
        if (origin.substr(0, scheme.size()) == scheme) {
            origin.remove_prefix(scheme.size());
            return !origin.empty() && equal_ignoring_case(origin, request.host());
        }
    }
    return false;
}

}  // namespace cairn::server
