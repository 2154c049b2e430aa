// One WebSocket after its handshake: brings what a source has to its client, and what the client
// says to the source.
//
// Lives on the gateway thread, as long as it waits for its socket. read() is the only one that
// receives, and what it hears at a time is bounded, whatever came in one piece; send() is the only
// one that writes, when the gateway gives it its turn. While the
// socket takes no more, a coroutine of its own waits for it. Frames are shared with all who get the
// same (stream_message.h); many that wait leave with one system call. An idle connection holds no
// buffer: what is received goes through one that all connections of the gateway borrow.
//
// Every way to end tells the client why: 1001 when the node drains, 1002, 1007, 1008 and 1009 when
// it breaks a rule (websocket_frame.h), 1003 for a message on a stream that takes none, 1013 with
// the cursor when it is too slow. A close frame is answered with the same code. A quiet client is
// pinged; one that doesn't answer, or takes nothing, is cut off. The deadlines are swept by the
// gateway. The router has checked Host and Origin.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "server/gateway/connection.h"
#include "server/gateway/websocket_handshake.h"
#include "server/streams/send_turns.h"
#include "server/streams/stream_source.h"
#include "server/streams/websocket_frame.h"

namespace cairn::server {

class WebSocketSession : public Connection,
                         public Sender,
                         public std::enable_shared_from_this<WebSocketSession> {
 public:
    static void start(std::shared_ptr<GatewayState> gateway, Socket socket,
                      std::unique_ptr<WebSocketHandshake> handshake,
                      std::unique_ptr<StreamSource> source);

    // The loop goes round before it hears more of them, however many were received in one piece.
    static constexpr std::size_t messages_per_turn = 32;

    WebSocketSession(std::shared_ptr<GatewayState> gateway, Socket socket,
                     std::unique_ptr<StreamSource> source);
    ~WebSocketSession() override;

    void close() override;
    void expire() override;
    void drain() override;
    void send() override;

 private:
    enum class Stage : std::uint8_t {
        handshake,
        open,
        closing,       // a close frame waits to be sent; nothing is taken from the source any more
        closed_by_us,  // it is sent: the client's is awaited
        over,          // both close frames are through, or none is awaited: waiting for its end
        closed,
    };

    static Task run(std::shared_ptr<WebSocketSession> self,
                    std::unique_ptr<WebSocketHandshake> handshake);
    static Task wait_writable(std::shared_ptr<WebSocketSession> self);

    void wait_readable();
    void hear_rest();
    void read_on();
    void end_reading(bool goes_on);
    // Says whether the connection goes on.
    bool read();
    void received(std::span<char> bytes);
    void received_message();
    void received_ping();
    void received_close();
    void time_message();
    bool counts_control_frame();

    void wake();
    void gather(std::vector<OutgoingFrame>& frames);
    void write(std::vector<OutgoingFrame>& frames);
    void keep_unsent(std::vector<OutgoingFrame>& frames, std::size_t sent_bytes);
    void all_sent(const std::vector<OutgoingFrame>& frames);
    // Asks for a close frame; the first reason counts. `is_last`: the client's is not awaited.
    void end(const CloseReason& reason, bool is_last);
    void finish();
    void end_as_drained();
    void let_go_of_source();
    void update_deadline();
    void charge();

    Socket socket_;
    std::unique_ptr<StreamSource> source_;
    FrameParser parser_;
    std::vector<OutgoingFrame> unsent_;  // what the socket didn't take
    std::size_t sent_bytes_ = 0;         // of the first of those
    std::vector<char> unheard_;          // received, and for a later turn
    SharedMessage pong_;                 // to be sent: the answer to the newest ping
    SharedMessage close_frame_;
    std::shared_ptr<WebSocketSession> paused_;  // itself, while it doesn't read
    std::size_t charged_bytes_ = 0;             // of the gateway's buffered_bytes
    TimePoint heard_at_;                        // the last sign of life
    TimePoint message_began_{};
    TimePoint message_deadline_ = TimePoint::max();  // for the end of one that has begun
    TimePoint write_deadline_ = TimePoint::max();    // for what is unsent
    TimePoint window_began_{};
    std::uint32_t control_frames_ = 0;  // in that second
    Stage stage_ = Stage::handshake;
    bool is_reading_ = false;  // waits for something to read, or is at it
    bool is_blocked_ = false;  // waits for room to write
    bool has_more_ = false;    // the source may have, without saying so again
    bool is_draining_ = false;
    bool ping_due_ = false;
    bool is_pinged_ = false;
    bool close_is_last_ = false;
};

}  // namespace cairn::server
