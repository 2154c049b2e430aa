#include "tests/support/memory_file_system.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <utility>

namespace cairn::raft::test {
namespace {

namespace errc = boost::system::errc;
using boost::system::error_code;

constexpr std::uint64_t sector_bytes = 512;

error_code error_of(errc::errc_t code) {
    return errc::make_error_code(code);
}

// splitmix64
class Random {
 public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t below(std::uint64_t limit) {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t value = state_;
        value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
        value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
        return (value ^ (value >> 31)) % limit;
    }

 private:
    std::uint64_t state_;
};

struct Write {
    std::uint64_t offset = 0;
    std::string bytes;
};

void apply_to(const Write& write, std::string& content) {
    content.resize(std::max<std::size_t>(content.size(), write.offset + write.bytes.size()));
    content.replace(write.offset, write.bytes.size(), write.bytes);
}

struct Node {
    std::string content;          // what reads see
    std::string durable;          // what is on the disk
    std::vector<Write> unsynced;  // of content, not of durable
};

using Names = std::map<std::string, std::shared_ptr<Node>>;

// A creation (no `from`), removal (no `to`) or rename.
struct DirectoryChange {
    std::string directory;
    std::string from;
    std::string to;
    std::shared_ptr<Node> node;  // null in a rename: of a directory with all that is in it
};

using Directories = std::set<std::string>;

bool is_of_directory(const DirectoryChange& change) {
    return change.node == nullptr && !change.to.empty();
}

bool is_below(const std::string& path, const std::string& directory) {
    return path == directory || path.starts_with(directory + "/");
}

void rename_directory(const DirectoryChange& change, Names& names, Directories& directories) {
    Names renamed;
    for (const auto& [path, node] : names) {
        const bool moves = is_below(path, change.from);
        renamed[moves ? change.to + path.substr(change.from.size()) : path] = node;
    }
    names = std::move(renamed);
    Directories kept;
    for (const std::string& path : directories) {
        kept.insert(is_below(path, change.from) ? change.to + path.substr(change.from.size())
                                                : path);
    }
    directories = std::move(kept);
}

void apply_to(const DirectoryChange& change, Names& names, Directories& directories) {
    if (is_of_directory(change)) {
        rename_directory(change, names, directories);
        return;
    }
    if (!change.from.empty()) {
        names.erase(change.from);
    }
    if (!change.to.empty()) {
        names[change.to] = change.node;
    }
}

std::string directory_of(const std::string& path) {
    return path.substr(0, path.find_last_of('/'));
}

}  // namespace

class MemoryFileSystem::Impl {
 public:
    // Counts an operation and says how it fails, if it does.
    error_code begin_operation() {
        ++operations;
        if (operations >= power_off_operation) {
            powered = false;
        }
        if (!powered) {
            return error_of(errc::io_error);
        }
        const auto failure = failures.find(operations);
        return failure == failures.end() ? error_code() : error_of(failure->second);
    }
    // Whether the operation that just began and failed was cut by the power: then it had begun.
    bool was_cut() const { return operations == power_off_operation; }

    void change_directory(DirectoryChange change) {
        apply_to(change, names, directories);
        unsynced_changes.push_back(std::move(change));
    }

    std::uint64_t total_bytes() const {
        std::uint64_t total = 0;
        for (const auto& [path, node] : names) {
            total += node->content.size();
        }
        return total;
    }

    std::uint64_t operations = 0;
    std::uint64_t power_off_operation = ~std::uint64_t{0};
    bool powered = true;
    std::uint64_t generation = 0;  // grows with every crash: older open files are dead
    std::atomic<std::uint64_t> capacity_bytes = ~std::uint64_t{0};
    std::atomic<bool> tells_free_bytes = false;
    std::map<std::uint64_t, errc::errc_t> failures;
    Names names;
    Names durable_names;
    std::vector<DirectoryChange> unsynced_changes;
    Directories directories{"/"};
    Directories durable_directories{"/"};
};

class MemoryFileSystem::OpenFile final : public File {
 public:
    OpenFile(std::shared_ptr<Impl> impl, std::shared_ptr<Node> node, bool writable)
        : impl_(std::move(impl)),
          node_(std::move(node)),
          generation_(impl_->generation),
          writable_(writable) {}

    IoResult<void> write_at(std::uint64_t offset,
                            std::span<const std::string_view> parts) override {
        if (!is_alive() || !writable_) {
            return error_of(errc::bad_file_descriptor);
        }
        Write write{.offset = offset, .bytes = {}};
        for (const std::string_view part : parts) {
            write.bytes += part;
        }
        const error_code failed = impl_->begin_operation();
        if (failed && !impl_->was_cut()) {
            return failed;
        }
        const std::uint64_t end = offset + write.bytes.size();
        const std::uint64_t size = node_->content.size();
        if (end > size && impl_->total_bytes() + (end - size) > impl_->capacity_bytes) {
            return error_of(errc::no_space_on_device);
        }
        apply_to(write, node_->content);
        node_->unsynced.push_back(std::move(write));
        return failed ? IoResult<void>(failed) : IoResult<void>();
    }

    IoResult<void> read_at(std::uint64_t offset, std::size_t size, std::string& out) override {
        if (!is_alive()) {
            return error_of(errc::bad_file_descriptor);
        }
        out = offset < node_->content.size() ? node_->content.substr(offset, size) : std::string();
        return {};
    }

    IoResult<void> sync() override {
        if (!is_alive()) {
            return error_of(errc::bad_file_descriptor);
        }
        if (const error_code failed = impl_->begin_operation()) {
            if (impl_->powered) {
                node_->unsynced.clear();
            }
            return failed;
        }
        for (const Write& write : node_->unsynced) {
            apply_to(write, node_->durable);
        }
        node_->unsynced.clear();
        return {};
    }

    IoResult<std::uint64_t> size() override {
        if (!is_alive()) {
            return error_of(errc::bad_file_descriptor);
        }
        return std::uint64_t{node_->content.size()};
    }

 private:
    bool is_alive() const { return generation_ == impl_->generation; }

    std::shared_ptr<Impl> impl_;
    std::shared_ptr<Node> node_;
    std::uint64_t generation_;
    bool writable_;
};

MemoryFileSystem::MemoryFileSystem() : impl_(std::make_shared<Impl>()) {}
MemoryFileSystem::~MemoryFileSystem() = default;

IoResult<std::unique_ptr<File>> MemoryFileSystem::open(const std::string& path, OpenMode mode) {
    const auto found = impl_->names.find(path);
    if (mode != OpenMode::create_new) {
        if (!impl_->powered) {
            return error_of(errc::io_error);
        }
        if (found == impl_->names.end()) {
            return error_of(errc::no_such_file_or_directory);
        }
        return std::unique_ptr<File>(
            std::make_unique<OpenFile>(impl_, found->second, mode == OpenMode::read_write));
    }
    if (!impl_->directories.contains(directory_of(path))) {
        return error_of(errc::no_such_file_or_directory);
    }
    if (found != impl_->names.end()) {
        return error_of(errc::file_exists);
    }
    const error_code failed = impl_->begin_operation();
    if (failed && !impl_->was_cut()) {
        return failed;
    }
    const auto node = std::make_shared<Node>();
    impl_->change_directory(
        {.directory = directory_of(path), .from = {}, .to = path, .node = node});
    if (failed) {
        return failed;
    }
    return std::unique_ptr<File>(std::make_unique<OpenFile>(impl_, node, true));
}

IoResult<void> MemoryFileSystem::create_directories(const std::string& path) {
    if (!impl_->powered) {
        return error_of(errc::io_error);
    }
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        impl_->directories.insert(path.substr(0, end));
        impl_->durable_directories.insert(path.substr(0, end));
        if (end == std::string::npos) {
            return {};
        }
    }
}

IoResult<void> MemoryFileSystem::rename(const std::string& from, const std::string& to) {
    const auto found = impl_->names.find(from);
    const bool is_directory = impl_->directories.contains(from);
    if (found == impl_->names.end() && !is_directory) {
        return error_of(errc::no_such_file_or_directory);
    }
    if (is_directory && impl_->directories.contains(to) && !list(to)->empty()) {
        return error_of(errc::directory_not_empty);
    }
    const error_code failed = impl_->begin_operation();
    if (!failed || impl_->was_cut()) {
        impl_->change_directory({.directory = directory_of(to),
                                 .from = from,
                                 .to = to,
                                 .node = is_directory ? nullptr : found->second});
    }
    return failed ? IoResult<void>(failed) : IoResult<void>();
}

IoResult<void> MemoryFileSystem::remove(const std::string& path) {
    if (!impl_->names.contains(path)) {
        return error_of(errc::no_such_file_or_directory);
    }
    const error_code failed = impl_->begin_operation();
    if (!failed || impl_->was_cut()) {
        impl_->change_directory(
            {.directory = directory_of(path), .from = path, .to = {}, .node = nullptr});
    }
    return failed ? IoResult<void>(failed) : IoResult<void>();
}

IoResult<bool> MemoryFileSystem::exists(const std::string& path) {
    if (!impl_->powered) {
        return {boost::system::in_place_error, error_of(errc::io_error)};
    }
    return impl_->names.contains(path) || impl_->directories.contains(path);
}

IoResult<std::vector<std::string>> MemoryFileSystem::list(const std::string& directory) {
    if (!impl_->powered) {
        return error_of(errc::io_error);
    }
    if (!impl_->directories.contains(directory)) {
        return error_of(errc::no_such_file_or_directory);
    }
    std::vector<std::string> found;
    for (const auto& [path, node] : impl_->names) {
        if (directory_of(path) == directory) {
            found.push_back(path.substr(directory.size() + 1));
        }
    }
    for (const std::string& path : impl_->directories) {
        if (path != "/" && directory_of(path) == directory) {
            found.push_back(path.substr(directory.size() + 1));
        }
    }
    std::sort(found.begin(), found.end());
    return found;
}

IoResult<void> MemoryFileSystem::sync_directory(const std::string& directory) {
    if (const error_code failed = impl_->begin_operation()) {
        return failed;
    }
    // With the renaming of a directory everything before it is durable too.
    std::size_t everything_before = 0;
    for (std::size_t i = 0; i < impl_->unsynced_changes.size(); ++i) {
        const DirectoryChange& change = impl_->unsynced_changes[i];
        if (change.directory == directory && is_of_directory(change)) {
            everything_before = i;
        }
    }
    std::vector<DirectoryChange> rest;
    for (std::size_t i = 0; i < impl_->unsynced_changes.size(); ++i) {
        DirectoryChange& change = impl_->unsynced_changes[i];
        if (change.directory == directory || i < everything_before) {
            apply_to(change, impl_->durable_names, impl_->durable_directories);
        } else {
            rest.push_back(std::move(change));
        }
    }
    impl_->unsynced_changes = std::move(rest);
    return {};
}

std::optional<std::uint64_t> MemoryFileSystem::free_bytes(const std::string& /*directory*/) {
    if (!impl_->tells_free_bytes) {
        return std::nullopt;
    }
    const std::uint64_t capacity = impl_->capacity_bytes;
    return capacity - std::min(capacity, impl_->total_bytes());
}

std::uint64_t MemoryFileSystem::operations() const {
    return impl_->operations;
}

void MemoryFileSystem::power_off_at(std::uint64_t operation) {
    impl_->power_off_operation = operation;
}

void MemoryFileSystem::fail_at(std::uint64_t operation, errc::errc_t error) {
    impl_->failures[operation] = error;
}

void MemoryFileSystem::set_capacity_bytes(std::uint64_t bytes) {
    impl_->capacity_bytes = bytes;
}

void MemoryFileSystem::set_tells_free_bytes(bool tells) {
    impl_->tells_free_bytes = tells;
}

void MemoryFileSystem::crash(Crash crash, std::uint64_t seed) {
    Random random(seed);
    // Directory changes first: which files there are at all.
    std::size_t kept_changes = 0;
    if (crash == Crash::keep) {
        kept_changes = impl_->unsynced_changes.size();
    } else if (crash == Crash::tear) {
        kept_changes = random.below(impl_->unsynced_changes.size() + 1);
    }
    for (std::size_t i = 0; i < kept_changes; ++i) {
        apply_to(impl_->unsynced_changes[i], impl_->durable_names, impl_->durable_directories);
    }
    impl_->unsynced_changes.clear();
    // How much is kept differs from crash to crash, so that nearly all and nearly nothing occur.
    const std::uint64_t kept_of_eight = random.below(9);
    for (const auto& [path, node] : impl_->durable_names) {
        for (const Write& write : node->unsynced) {
            if (crash == Crash::keep) {
                apply_to(write, node->durable);
            }
            for (std::uint64_t at = 0; crash == Crash::tear && at < write.bytes.size();) {
                const std::uint64_t in_sector = sector_bytes - (write.offset + at) % sector_bytes;
                if (random.below(8) < kept_of_eight) {
                    apply_to(Write{.offset = write.offset + at,
                                   .bytes = write.bytes.substr(at, in_sector)},
                             node->durable);
                }
                at += in_sector;
            }
        }
        node->unsynced.clear();
        node->content = node->durable;
    }
    impl_->names = impl_->durable_names;
    impl_->directories = impl_->durable_directories;
    impl_->powered = true;
    impl_->power_off_operation = ~std::uint64_t{0};
    impl_->failures.clear();
    ++impl_->generation;
}

std::string MemoryFileSystem::content(const std::string& path) const {
    return impl_->names.at(path)->content;
}

void MemoryFileSystem::set_content(const std::string& path, std::string_view bytes) {
    std::shared_ptr<Node>& node = impl_->names[path];
    if (node == nullptr) {
        node = std::make_shared<Node>();
    }
    node->content = bytes;
    node->durable = bytes;
    node->unsynced.clear();
    impl_->durable_names[path] = node;
    impl_->directories.insert(directory_of(path));
    impl_->durable_directories.insert(directory_of(path));
}

void MemoryFileSystem::flip_bit(const std::string& path, std::uint64_t bit) {
    Node& node = *impl_->names.at(path);
    for (std::string* bytes : {&node.content, &node.durable}) {
        char& byte = bytes->at(bit / 8);
        byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << (bit % 8)));
    }
}

void MemoryFileSystem::truncate(const std::string& path, std::uint64_t size) {
    Node& node = *impl_->names.at(path);
    node.content.resize(size);
    node.durable.resize(size);
    node.unsynced.clear();
}

std::vector<std::string> MemoryFileSystem::paths() const {
    std::vector<std::string> found;
    for (const auto& [path, node] : impl_->names) {
        found.push_back(path);
    }
    return found;
}

std::unique_ptr<MemoryFileSystem> MemoryFileSystem::clone() const {
    auto copy = std::make_unique<MemoryFileSystem>();
    copy->impl_->directories = impl_->durable_directories;
    copy->impl_->durable_directories = impl_->durable_directories;
    for (const auto& [path, node] : impl_->durable_names) {
        copy->impl_->names[path] = std::make_shared<Node>(*node);
    }
    copy->impl_->durable_names = copy->impl_->names;
    return copy;
}

}  // namespace cairn::raft::test
