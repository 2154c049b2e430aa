#include "raft/disk/snapshot_reader.h"

#include <algorithm>
#include <utility>

#include "raft/base/crc32c.h"

namespace cairn::raft {
namespace {

namespace errc = boost::system::errc;
using boost::system::error_code;

error_code error_of(errc::errc_t code) {
    return errc::make_error_code(code);
}

}  // namespace

SnapshotReader::SnapshotReader(std::string path, std::unique_ptr<File> file)
    : path_(std::move(path)), file_(std::move(file)) {}

std::unique_ptr<SnapshotReader> SnapshotReader::open(FileSystem& files, const std::string& path,
                                                     SnapshotFailure& failure) {
    IoResult<std::unique_ptr<File>> file = files.open(path, FileSystem::OpenMode::read);
    if (!file) {
        failure = {.error = SnapshotError::io, .detail = path + ": " + file.error().message()};
        return nullptr;
    }
    std::unique_ptr<SnapshotReader> reader(new SnapshotReader(path, std::move(*file)));
    if (!reader->load(failure)) {
        return nullptr;
    }
    return reader;
}

bool SnapshotReader::load(SnapshotFailure& failure) {
    const auto damaged = [&](const std::string& what,
                             std::optional<std::uint64_t> offset = std::nullopt) {
        failure = {
            .error = SnapshotError::damaged, .detail = path_ + ": " + what, .offset = offset};
        return false;
    };
    const IoResult<std::uint64_t> size = file_->size();
    if (!size) {
        failure = {.error = SnapshotError::io, .detail = path_ + ": " + size.error().message()};
        return false;
    }
    // Bytes that the disk doesn't give back are as good as damaged.
    if (const IoResult<void> read = file_->read_at(0, snapshot_prefix_bytes, buffer_); !read) {
        return damaged("can't be read: " + read.error().message());
    }
    const std::optional<std::size_t> header_bytes = snapshot_header_bytes(buffer_);
    if (!header_bytes) {
        return damaged("damaged header", 0);
    }
    header_bytes_ = *header_bytes;
    if (const IoResult<void> read = file_->read_at(0, *header_bytes, buffer_); !read) {
        return damaged("can't be read: " + read.error().message());
    }
    switch (decode_snapshot_header(buffer_, header_)) {
        case SnapshotHeaderVerdict::damaged:
            return damaged("damaged header", 0);
        case SnapshotHeaderVerdict::unknown_version:
            failure = {.error = SnapshotError::foreign,
                       .detail = path_ + ": snapshot of an unknown format version"};
            return false;
        case SnapshotHeaderVerdict::valid:
            break;
    }
    if (*size < header_bytes_ + snapshot_footer_bytes) {
        return damaged("cut off at " + std::to_string(*size) + " bytes", *size);
    }
    if (const IoResult<void> read =
            file_->read_at(*size - snapshot_footer_bytes, snapshot_footer_bytes, buffer_);
        !read) {
        return damaged("can't be read: " + read.error().message());
    }
    seed_ = snapshot_seed(header_);
    const std::optional<SnapshotFooter> footer = decode_snapshot_footer(buffer_, seed_);
    if (!footer) {
        return damaged("damaged footer, or cut off at " + std::to_string(*size) + " bytes",
                       *size - snapshot_footer_bytes);
    }
    footer_ = *footer;
    const std::uint64_t chunks_bytes = *size - header_bytes_ - snapshot_footer_bytes;
    const std::uint64_t content_bytes = footer_.content.bytes;
    // In this order nothing overflows.
    if (content_bytes > chunks_bytes ||
        footer_.chunk_count != snapshot_chunk_count(content_bytes, header_.chunk_bytes) ||
        chunks_bytes != content_bytes + footer_.chunk_count * snapshot_chunk_header_bytes) {
        return damaged("a file of " + std::to_string(*size) + " bytes can't hold " +
                       std::to_string(content_bytes) + " bytes of content");
    }
    return true;
}

// Leaves it in buffer_, verified.
IoResult<void> SnapshotReader::load_chunk(std::uint64_t number) {
    if (loaded_ == number) {
        return {};
    }
    loaded_.reset();
    const std::uint64_t before = number * header_.chunk_bytes;
    const auto bytes = static_cast<std::size_t>(
        std::min<std::uint64_t>(header_.chunk_bytes, footer_.content.bytes - before));
    const std::uint64_t offset = snapshot_chunk_offset(header_bytes_, header_.chunk_bytes, number);
    if (const IoResult<void> read =
            file_->read_at(offset, snapshot_chunk_header_bytes + bytes, buffer_);
        !read) {
        return read;
    }
    if (buffer_.size() == snapshot_chunk_header_bytes + bytes) {
        const SnapshotChunkHeader header = decode_snapshot_chunk_header(buffer_);
        if (header.bytes == bytes && header.crc == snapshot_chunk_crc(chunk(), number, seed_)) {
            loaded_ = number;
            return {};
        }
    }
    damage_ = path_ + ": damaged chunk " + std::to_string(number) + " at offset " +
              std::to_string(offset);
    damage_offset_ = offset;
    return error_of(errc::bad_message);
}

std::string_view SnapshotReader::chunk() const {
    return std::string_view(buffer_).substr(snapshot_chunk_header_bytes);
}

IoResult<void> SnapshotReader::read(std::uint64_t offset, std::size_t size, std::string& out) {
    out.clear();
    if (offset > content_bytes()) {
        return error_of(errc::invalid_argument);
    }
    const std::uint64_t end = offset + std::min<std::uint64_t>(size, content_bytes() - offset);
    while (offset < end) {
        if (const IoResult<void> loaded = load_chunk(offset / header_.chunk_bytes); !loaded) {
            out.clear();
            return loaded;
        }
        const std::string_view part =
            chunk().substr(offset % header_.chunk_bytes, static_cast<std::size_t>(end - offset));
        out += part;
        offset += part.size();
    }
    return {};
}

std::uint64_t SnapshotReader::file_bytes() const {
    return header_bytes_ + footer_.content.bytes +
           footer_.chunk_count * snapshot_chunk_header_bytes + snapshot_footer_bytes;
}

IoResult<void> SnapshotReader::read_piece(std::uint64_t number, std::string& out) {
    out.clear();
    if (number >= piece_count()) {
        return error_of(errc::invalid_argument);
    }
    // Header and footer were checked when they were read, and there is one way to write them.
    if (number == 0) {
        out = encode_snapshot_header(header_);
        return {};
    }
    if (number == piece_count() - 1) {
        out = encode_snapshot_footer(footer_, seed_);
        return {};
    }
    if (const IoResult<void> loaded = load_chunk(number - 1); !loaded) {
        return loaded;
    }
    out = buffer_;
    return {};
}

IoResult<void> SnapshotReader::verify() {
    SnapshotFooter found;
    for (; found.chunk_count < footer_.chunk_count; ++found.chunk_count) {
        loaded_.reset();
        if (const IoResult<void> loaded = load_chunk(found.chunk_count); !loaded) {
            return loaded;
        }
        found.chunk_crcs_crc =
            snapshot_chain_crc(decode_snapshot_chunk_header(buffer_).crc, found.chunk_crcs_crc);
        found.content.crc = crc32c(chunk(), found.content.crc);
        found.content.bytes += chunk().size();
    }
    if (found != footer_) {
        damage_ = path_ + ": the chunks are not those of the footer";
        return error_of(errc::bad_message);
    }
    return {};
}

}  // namespace cairn::raft
