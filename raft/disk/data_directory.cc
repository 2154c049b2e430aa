#include "raft/disk/data_directory.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ranges>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raft/base/crc32c.h"
#include "raft/disk/wal_format.h"

namespace cairn::raft {
namespace {

constexpr std::string_view identity_name = "identity";
constexpr std::string_view lock_name = "lock";
constexpr std::string_view first_word = "cairn-identity";
constexpr std::string_view format_version = "2";
constexpr std::string_view crc_word = "crc32c ";
constexpr std::size_t crc_digits = 8;
constexpr std::size_t identity_bytes_max = 1U << 20;
constexpr int damaged_max = 3;

std::string crc_line(std::string_view text) {
    std::array<char, crc_digits> digits;
    const std::to_chars_result end =
        std::to_chars(digits.data(), digits.data() + digits.size(), crc32c(text), 16);
    const auto count = static_cast<std::size_t>(end.ptr - digits.data());
    std::string line(crc_word);
    line.append(crc_digits - count, '0');
    line.append(digits.data(), count);
    line += '\n';
    return line;
}

// Removes and returns what precedes `end`, or everything.
std::string_view take_until(std::string_view& text, char end) {
    const std::size_t at = text.find(end);
    const std::string_view taken = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
    return taken;
}

bool parse_number(std::string_view text, std::uint64_t& number) {
    const std::from_chars_result parsed =
        std::from_chars(text.data(), text.data() + text.size(), number);
    return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

using Addresses = std::vector<std::pair<NodeId, std::string>>;

bool parse_address(std::string_view line, Addresses& addresses) {
    NodeId id = 0;
    if (!parse_number(take_until(line, ' '), id)) {
        return false;
    }
    addresses.emplace_back(id, line);
    return true;
}

bool parse_line(std::string_view line, Identity& identity) {
    const std::string_view word = take_until(line, ' ');
    if (word == "cluster_id") {
        return parse_number(line, identity.cluster_id);
    }
    if (word == "node_id") {
        return parse_number(line, identity.node_id);
    }
    if (word == "disk_id") {
        return parse_number(line, identity.disk_id);
    }
    if (word == "replaced_disk_id") {
        return parse_number(line, identity.replaced_disk_id);
    }
    if (word == "joined") {
        identity.joined = line == "yes";
        return true;
    }
    if (word == "has_log") {
        identity.has_log = line == "yes";
        return true;
    }
    if (word == "founder") {
        return parse_address(line, identity.founders);
    }
    return word == "member" && parse_address(line, identity.members);
}

// An address goes into a line of text.
bool is_plain(std::string_view address) {
    for (const char character : address) {
        if (character <= ' ' || character == '\x7f') {
            return false;
        }
    }
    return !address.empty();
}

// What create_directories() is going to make, the outermost first.
std::vector<std::string> missing_directories(FileSystem& files, const std::string& path) {
    std::vector<std::string> missing;
    for (std::size_t end = 0; end != std::string::npos;) {
        end = path.find('/', end + 1);
        std::string directory = path.substr(0, end);
        if (const IoResult<bool> exists = files.exists(directory); exists && !*exists) {
            missing.push_back(std::move(directory));
        }
    }
    return missing;
}

// Locks the file; empty, or why not. The one whom it belonged to may just have removed it.
std::string lock_file(int descriptor, const std::string& lock_path, const std::string& path) {
    const std::string in_use = path + ": another process is using this data directory";
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? in_use : lock_path + ": " + std::strerror(errno);
    }
    struct stat locked{};
    struct stat present{};
    const bool is_there =
        ::fstat(descriptor, &locked) == 0 && ::stat(lock_path.c_str(), &present) == 0;
    return is_there && locked.st_ino == present.st_ino ? std::string() : in_use;
}

}  // namespace

std::string encode_identity(const Identity& identity) {
    std::string text(first_word);
    text.append(" ").append(format_version).append("\n");
    text += "cluster_id " + std::to_string(identity.cluster_id) + "\n";
    text += "node_id " + std::to_string(identity.node_id) + "\n";
    text += "disk_id " + std::to_string(identity.disk_id) + "\n";
    text += "replaced_disk_id " + std::to_string(identity.replaced_disk_id) + "\n";
    text += std::string("joined ") + (identity.joined ? "yes" : "no") + "\n";
    text += std::string("has_log ") + (identity.has_log ? "yes" : "no") + "\n";
    for (const auto& [id, address] : identity.founders) {
        text += "founder " + std::to_string(id) + " " + address + "\n";
    }
    for (const auto& [id, address] : identity.members) {
        text += "member " + std::to_string(id) + " " + address + "\n";
    }
    return text + crc_line(text);
}

std::optional<Identity> decode_identity(std::string_view bytes, std::string& error) {
    const std::size_t crc_bytes = crc_word.size() + crc_digits + 1;
    if (bytes.size() < crc_bytes || bytes.substr(bytes.size() - crc_bytes) !=
                                        crc_line(bytes.substr(0, bytes.size() - crc_bytes))) {
        error = "damaged: its checksum is wrong";
        return std::nullopt;
    }
    std::string_view text = bytes.substr(0, bytes.size() - crc_bytes);
    std::string_view first_line = take_until(text, '\n');
    if (take_until(first_line, ' ') != first_word) {
        error = "damaged: not an identity";
        return std::nullopt;
    }
    if (first_line != format_version) {
        error = "format version " + std::string(first_line) + " is unknown to this program";
        return std::nullopt;
    }
    Identity identity;
    bool understood = true;
    while (!text.empty() && understood) {
        understood = parse_line(take_until(text, '\n'), identity);
    }
    // There is one way to write an identity.
    if (!understood || encode_identity(identity) != bytes) {
        error = "damaged: not an identity";
        return std::nullopt;
    }
    return identity;
}

std::string read_identity(FileSystem& files, const std::string& path,
                          std::optional<Identity>& identity) {
    const std::string identity_path = path + "/" + std::string(identity_name);
    const IoResult<bool> exists = files.exists(identity_path);
    if (!exists) {
        return identity_path + ": " + exists.error().message();
    }
    if (!*exists) {
        // The identity is made before them.
        for (const std::string& later : {wal_directory_of(path), snapshot_directory_of(path)}) {
            const IoResult<bool> made = files.exists(later);
            if (!made) {
                return later + ": " + made.error().message();
            }
            if (*made) {
                return identity_path + ": missing, though there is " + later;
            }
        }
        return {};
    }
    IoResult<std::unique_ptr<File>> file = files.open(identity_path, FileSystem::OpenMode::read);
    if (!file) {
        return identity_path + ": " + file.error().message();
    }
    std::string bytes;
    if (const IoResult<void> read = (*file)->read_at(0, identity_bytes_max, bytes); !read) {
        return identity_path + ": " + read.error().message();
    }
    std::string error;
    identity = decode_identity(bytes, error);
    return identity ? "" : identity_path + ": " + error;
}

std::string write_identity(FileSystem& files, const std::string& path, const Identity& identity) {
    if (identity.node_id == 0) {
        return path + ": node id 0 is nobody's";
    }
    for (const Addresses* addresses : {&identity.founders, &identity.members}) {
        for (const auto& [id, address] : *addresses) {
            if (id == 0 || !is_plain(address)) {
                return path + ": member " + std::to_string(id) + " has an impossible id or address";
            }
        }
    }
    const std::string bytes = encode_identity(identity);
    if (bytes.size() > identity_bytes_max) {
        return path + ": too many members";
    }
    const IoResult<void> written =
        write_file_atomically(files, path, std::string(identity_name), bytes);
    if (!written) {
        return path + "/" + std::string(identity_name) + ": " + written.error().message();
    }
    return {};
}

std::string wal_directory_of(const std::string& path) {
    return path + "/wal";
}

std::string snapshot_directory_of(const std::string& path) {
    return path + "/snapshot";
}

DataDirectory::DataDirectory(FileSystem& files, std::string path, int lock_descriptor,
                             std::vector<std::string> made)
    : files_(files),
      path_(std::move(path)),
      lock_descriptor_(lock_descriptor),
      made_(std::move(made)) {}

DataDirectory::~DataDirectory() {
    if (!identity_) {
        take_away();
    }
    ::close(lock_descriptor_);  // gives the lock back, too
}

// While the lock is held: whoever has the file open and gets it next finds another in its place, or
// none (lock_file()).
void DataDirectory::take_away() {
    const IoResult<std::vector<std::string>> names = files_.list(path_);
    if (!names || names->size() != 1 || names->front() != lock_name) {
        return;
    }
    ::unlink((path_ + "/" + std::string(lock_name)).c_str());
    for (const std::string& directory : std::views::reverse(made_)) {
        ::rmdir(directory.c_str());  // fails where there is something in it, which may be
    }
}

std::unique_ptr<DataDirectory> DataDirectory::open(FileSystem& files, const std::string& path,
                                                   std::string& error) {
    std::vector<std::string> missing = missing_directories(files, path);
    if (const IoResult<void> made = files.create_directories(path); !made) {
        error = path + ": " + made.error().message();
        return nullptr;
    }
    const std::string lock_path = path + "/" + std::string(lock_name);
    const int descriptor = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        error = lock_path + ": " + std::strerror(errno);
        return nullptr;
    }
    error = lock_file(descriptor, lock_path, path);
    if (!error.empty()) {
        ::close(descriptor);
        return nullptr;
    }
    std::unique_ptr<DataDirectory> directory(
        new DataDirectory(files, path, descriptor, std::move(missing)));
    error = read_identity(files, path, directory->identity_);
    if (!error.empty()) {
        return nullptr;
    }
    return directory;
}

std::string DataDirectory::initialise(const Identity& identity) {
    if (identity_) {
        return path_ + ": already belongs to cluster " + std::to_string(identity_->cluster_id) +
               " node " + std::to_string(identity_->node_id);
    }
    return write(identity);
}

std::string DataDirectory::note_members(std::vector<std::pair<NodeId, std::string>> members) {
    Identity identity = *identity_;
    identity.members = std::move(members);
    return identity == *identity_ ? std::string() : write(identity);
}

std::string DataDirectory::note_log() {
    Identity identity = *identity_;
    identity.has_log = true;
    return identity == *identity_ ? std::string() : write(identity);
}

IoResult<bool> DataDirectory::is_log_gone() const {
    if (!identity_ || !identity_->has_log) {
        return false;
    }
    const IoResult<bool> exists = files_.exists(wal_directory());
    if (!exists || !*exists) {
        return exists ? IoResult<bool>(true) : exists;
    }
    const IoResult<std::vector<std::string>> names = files_.list(wal_directory());
    if (!names) {
        return {boost::system::in_place_error, names.error()};
    }
    return std::ranges::none_of(
        *names, [](const std::string& name) { return parse_wal_segment_name(name).has_value(); });
}

std::string DataDirectory::write(const Identity& identity) {
    std::string error = write_identity(files_, path_, identity);
    if (error.empty()) {
        identity_ = identity;
    }
    return error;
}

// The identity first: with it the node has no voice, whatever of the old data is still in place.
std::string DataDirectory::start_afresh(std::uint64_t disk_id) {
    std::string aside;
    for (int number = 1; number <= damaged_max && aside.empty(); ++number) {
        const std::string candidate = path_ + "/damaged-" + std::to_string(number);
        const IoResult<bool> exists = files_.exists(candidate);
        if (!exists) {
            return candidate + ": " + exists.error().message();
        }
        aside = *exists ? std::string() : candidate;
    }
    if (aside.empty()) {
        return path_ + ": data was damaged " + std::to_string(damaged_max) +
               " times already (damaged-1 and so on); look after the disk, then remove them";
    }
    Identity identity = *identity_;
    if (identity.replaced_disk_id == 0 || !identity.joined) {
        identity.replaced_disk_id = identity.disk_id;
    }
    identity.disk_id = disk_id;
    identity.joined = true;
    identity.has_log = false;
    if (std::string error = write(identity); !error.empty()) {
        return error;
    }
    if (const IoResult<void> made = files_.create_directories(aside); !made) {
        return aside + ": " + made.error().message();
    }
    for (const std::string& name : {std::string("wal"), std::string("snapshot")}) {
        const std::string from = path_ + "/" + name;
        const IoResult<bool> exists = files_.exists(from);
        if (!exists) {
            return from + ": " + exists.error().message();
        }
        if (!*exists) {
            continue;
        }
        if (const IoResult<void> moved = files_.rename(from, aside + "/" + name); !moved) {
            return from + ": " + moved.error().message();
        }
    }
    for (const std::string& directory : {aside, path_}) {
        if (const IoResult<void> synced = files_.sync_directory(directory); !synced) {
            return directory + ": " + synced.error().message();
        }
    }
    return {};
}

}  // namespace cairn::raft
