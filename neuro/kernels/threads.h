// Run a function on several threads: threads that meet at barriers, or a loop shared among them.
//
// Plain std::thread, and no OpenMP: a sanitizer sees what these threads share, and the threads of a run leave nothing behind.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__SSE2__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace neuro {

inline void relax() {
#if defined(__SSE2__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Let all threads wait for the last of them. A thread spins for some ten microseconds, as long as a step of a small net takes, and then
// sleeps: where a core is taken by others, a thread that is woken has its turn before one that kept spinning or yielding.
class Barrier {
    static constexpr int kSpins = 2000;
    const std::int32_t n_;
    std::mutex mutex_;
    std::condition_variable turned_;
    std::atomic<std::int32_t> sleeping_{0};
    alignas(64) std::atomic<std::int32_t> waiting_{0};
    alignas(64) std::atomic<std::uint32_t> round_{0};

  public:
    explicit Barrier(std::int32_t n) : n_(n) {}

    void wait() {
        if (n_ == 1) return;
        const std::uint32_t round = round_.load(std::memory_order_relaxed);
        if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == n_) {
            waiting_.store(0, std::memory_order_relaxed);
            round_.store(round + 1);  // sequentially consistent, as is all that concerns sleepers: either they see it, or are seen
            if (sleeping_.load() == 0) return;
            const std::lock_guard<std::mutex> lock(mutex_);
            turned_.notify_all();
            return;
        }
        for (int spins = 0; spins < kSpins; ++spins) {
            if (round_.load(std::memory_order_acquire) != round) return;
            relax();
        }
        std::unique_lock<std::mutex> lock(mutex_);
        ++sleeping_;
        turned_.wait(lock, [&] { return round_.load() != round; });
        --sleeping_;
    }
};

// Call work(h) for h = 0..n-1, each on a thread of its own, and return when all have; false, with nothing done, if the system
// gives no more threads. `work` must not throw.
template <class Work>
bool on_threads(std::int32_t n, Work work) {
    enum Gate : int { kHeld, kOpen, kCancelled };
    std::atomic<int> gate{kHeld};
    std::vector<std::thread> others;
    const auto follow = [&](std::int32_t h) {
        int now;
        while ((now = gate.load(std::memory_order_acquire)) == kHeld) std::this_thread::yield();
        if (now == kOpen) work(h);
    };
    bool complete = true;
    try {
        others.reserve(static_cast<std::size_t>(n - 1));
        for (std::int32_t h = 1; h < n; ++h) others.emplace_back(follow, h);
    } catch (const std::exception&) {
        complete = false;
    }
    gate.store(complete ? kOpen : kCancelled, std::memory_order_release);
    if (complete) work(0);
    for (std::thread& t : others) t.join();
    return complete;
}

// Call body(k) for k = 0..n-1 on at most n_threads threads, the caller's among them; which thread takes which k is not
// fixed. `Scope` is made once on every thread. Threads that the system refuses are done without. `body` must not throw.
template <class Scope, class Body>
void for_each(std::int64_t n, std::int64_t n_threads, const Body& body) {
    std::atomic<std::int64_t> next{0};
    const auto work = [&] {
        const Scope scope;
        for (std::int64_t k = next++; k < n; k = next++) body(k);
    };
    std::vector<std::thread> others;
    const std::int64_t wanted = (n_threads < n ? n_threads : n) - 1;
    try {
        for (std::int64_t k = 0; k < wanted; ++k) others.emplace_back(work);
    } catch (const std::exception&) {
    }
    work();
    for (std::thread& other : others) other.join();
}

}  // namespace neuro
