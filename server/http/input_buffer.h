// The bytes a connection has received and not yet consumed, contiguous.
//
// Owned by one session. Views into it are valid until the next prepare().
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

#include <boost/asio/buffer.hpp>

namespace cairn::server {

class InputBuffer {
 public:
    std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }
    std::size_t size() const { return end_ - begin_; }
    bool empty() const { return begin_ == end_; }
    std::size_t capacity() const { return capacity_; }

    // Makes room for `bytes` unconsumed bytes in all.
    void reserve(std::size_t bytes) {
        if (bytes > capacity_) {
            reallocate(bytes);
        }
    }

    // The free room behind what is there; the caller commits what it has received.
    boost::asio::mutable_buffer prepare() {
        if (begin_ > 0) {
            std::memmove(data_.get(), data_.get() + begin_, size());
            end_ = size();
            begin_ = 0;
        }
        return {data_.get() + end_, capacity_ - end_};
    }

    void commit(std::size_t bytes) { end_ += bytes; }

    void consume(std::size_t bytes) {
        begin_ += bytes;
        if (begin_ == end_) {
            begin_ = end_ = 0;
        }
    }

    // Gives memory beyond `bytes` back, when what is there fits.
    void shrink(std::size_t bytes) {
        if (capacity_ > bytes && size() <= bytes) {
            reallocate(bytes);
        }
    }

 private:
    void reallocate(std::size_t bytes) {
        auto memory = std::make_unique_for_overwrite<char[]>(bytes);
        if (!empty()) {
            std::memcpy(memory.get(), data_.get() + begin_, size());
        }
        data_ = std::move(memory);
        end_ = size();
        begin_ = 0;
        capacity_ = bytes;
    }

    std::unique_ptr<char[]> data_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace cairn::server
