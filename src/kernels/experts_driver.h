#pragma once

// Operations::ExpertsMatMul. Choices are sorted by expert: each has a place, and an expert's rows
// lie one after another. A row is quantised once, at the place of its first choice, and copied to
// the others. One team multiplies the gates and ups of all experts, then all downs, then adds up:
// a fork and two barriers, however many experts there are. Items of work are a tile of an expert
// times a run of its rows, so an expert with many rows is shared out and several with few are dealt
// among the threads. Neither places nor cuts change a bit (product_driver.h). One caller at a time.

#include <span>
#include <vector>

#include "kernels/activations.h"
#include "kernels/product_driver.h"
#include "kernels/tile_products.h"
#include "kernels/work_share.h"

namespace reprise {

class ExpertsDriver {
 public:
  // `product` multiplies for Compute::kExact, expert by expert.
  ExpertsDriver(const ProductKernels& kernels, const ElementwiseKernels& elementwise,
                Compute compute, int threads, ProductDriver& product);

  // The parameters of Operations::ExpertsMatMul.
  void MatMul(const float* x, int rows, std::span<const GatedMatrices> experts,
              std::span<const ExpertChoice> choices, float* y);

 private:
  // Choices of a call: row r has numbers r * for_each_row .. of `list`.
  struct Choices {
    std::span<const ExpertChoice> list;
    int rows;
    int for_each_row;
  };

  // Rows of one expert: places first .. first + rows - 1.
  struct Run {
    const GatedMatrices* ws;
    int first;
    int rows;
  };
  // Runs cut to fit, and their tiles, dealt out to the threads.
  class Items {
   public:
    explicit Items(int threads) : threads_(threads), share_(threads) {}

    void Deal(std::span<const Run> chosen, int64_t tiles);  // before the team begins
    // By each thread of the team: body(ws, TileItem) for each that falls to it.
    template <typename Body>
    void Take(Body body);

   private:
    int threads_;
    int64_t tiles_ = 0;
    std::vector<Run> runs_;
    WorkShare share_;
  };

  void SortByExpert(const Choices& choices, std::span<const GatedMatrices> experts);
  void FastMatMul(const float* x, const Choices& choices, float* y);
  void ExactMatMul(const float* x, const Choices& choices, float* y);

  void PutRow(const float* x, const Choices& choices, int row, int columns);
  // Columns first .. first + count - 1 of row `row` of y[rows, columns].
  void AddUp(const Choices& choices, int row, int64_t columns, int64_t first, int64_t count,
             float* y) const;

  const Compute compute_;
  const int threads_;
  ProductDriver& product_;

  // Scratch: grows to the largest call.
  std::vector<Run> chosen_;           // each expert that somebody chose, whole
  std::vector<int> places_;           // by choice
  std::vector<int> next_place_;       // by expert, while sorting
  std::vector<const Matrix*> inner_;  // gates and ups of chosen_
  std::vector<const Matrix*> outer_;  // downs
  Activations inputs_;                // by place
  Activations gated_;                 // by place
  AlignedBytes results_;              // f32, by place
  AlignedBytes gathered_;             // f32, by place: kExact
  TileProducts tiles_;
  Items gated_items_;
  Items items_;
};

}  // namespace reprise
